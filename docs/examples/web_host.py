"""An engine behind the endpoints of a web application: Starlette here, and FastAPI in the same way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from asyncio_host import EngineInAsyncio, place_call
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from engine import CommandRefusedError


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with EngineInAsyncio("sqlite:///calls.db") as app.state.host:
        yield


async def call(request: Request) -> JSONResponse:
    who, whom = request.path_params["who"], request.path_params["whom"]
    try:
        state = await request.app.state.host.run(place_call, who, whom)
    except CommandRefusedError as refusal:
        return JSONResponse({"error": refusal.reason}, status_code=409)
    return JSONResponse({"state": state})


app = Starlette(lifespan=lifespan, routes=[Route("/calls/{who}/{whom}", call, methods=["POST"])])


async def main() -> None:
    """What a web server does with `app`, and two of its clients."""
    transport = httpx.ASGITransport(app=app)
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        for path in ("/calls/ann/bob", "/calls/ann/ann"):
            answer = await client.post(path)
            print(answer.status_code, answer.text)


if __name__ == "__main__":
    asyncio.run(main())
