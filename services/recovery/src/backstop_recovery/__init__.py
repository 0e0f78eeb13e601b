"""Recovery: runs, claims, providers, assets, ledger, settlement."""
