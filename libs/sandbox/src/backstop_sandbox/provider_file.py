"""A `PROVIDERS_FILE` that points the product's built-in providers at a sandbox."""


def providers_yaml(url: str) -> str:
    """YAML re-basing replicate, fal and kie on the sandbox at `url`.

    The sandbox counts no requests, so none are held back. Nothing else changes: that the address is private is for the
    product's ALLOW_PRIVATE_HOSTS to allow.
    """
    address = url.rstrip("/")
    return (
        "providers:\n"
        f"  replicate:\n    base_url: {address}/replicate/v1\n    limits: {{requests: null}}\n"
        f"  fal:\n    base_url: {address}/fal\n"
        f"    webhook: {{verify: {{kind: fal_ed25519_jwks, jwks: '{address}/fal/.well-known/jwks.json'}}}}\n"
        f"  kie:\n    base_url: {address}/kie\n"
    )
