"""The public key that fal's webhooks would be verified with, published as fal does.

It is the key pair of RFC 8037, appendix A: whoever wants to play fal finds the private half there. Nothing here signs.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY_SET = {
    "keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "sandbox", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    ]
}


def key_routes() -> list[Route]:
    return [Route("/fal/.well-known/jwks.json", _keys)]


async def _keys(_request: Request) -> Response:
    return JSONResponse(KEY_SET)
