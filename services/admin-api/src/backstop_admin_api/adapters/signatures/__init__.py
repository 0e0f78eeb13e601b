"""Signatures of providers' webhooks, one module per kind. All are pure, and compare bytes in constant time.

`judge` is the way in. What is missing, malformed or too far from now is `Forged` with a reason; nothing is raised.
"""

from backstop_admin_api.adapters.signatures.judgement import judge

__all__ = ["judge"]
