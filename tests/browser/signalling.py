"""The signalling of the browser tests: a page, and a WebSocket that speaks to a media host for it."""

import json
from pathlib import Path
from typing import Any

import trio

from engine.errors import MediaError
from engine.media import protocol as p
from engine.transport.application import Request, Response
from engine.transport.sockets import Socket

PAGE = Path(__file__).with_name("page.html")


class Signalling:
    """Serves the page, and answers what it asks of the host."""

    def __init__(self, host: p.MediaHost, nursery: trio.Nursery) -> None:
        self._host, self._nursery = host, nursery
        self.answers: dict[str, p.Answered] = {}
        """What each peer was answered."""
        self.trickles = True
        """Whether candidates come after the answer, or inside it."""

    def respond(self, request: Request) -> Response:
        """See Application."""
        if request.path == "/":
            return Response(200, PAGE.read_bytes(), "text/html; charset=utf-8")
        return Response(404)

    def open_socket(self, socket: Socket) -> "Signalling":
        """See Application."""
        return self

    def on_message(self, socket: Socket, text: str) -> None:
        """See SocketApp."""
        self._nursery.start_soon(self._answer, socket, json.loads(text))

    def on_close(self, socket: Socket, code: int) -> None:
        """See SocketApp: a page that has gone is found out by media, which is what the tests look at."""

    async def _answer(self, socket: Socket, asked: dict[str, Any]) -> None:
        said: dict[str, Any] = {"id": asked["id"]}
        try:
            answer = await self._host.request(_request(asked))
        except MediaError as error:
            socket.send(json.dumps({**said, "error": f"{type(error).__name__}: {error}"}))
            return
        if not isinstance(answer, p.Answered):
            socket.send(json.dumps(said))
            return
        self.answers[asked["peer"]] = answer
        if not self.trickles:
            socket.send(json.dumps({**said, "sdp": answer.with_candidates()}))
            return
        socket.send(json.dumps({**said, "sdp": answer.sdp_answer}))
        for one in answer.candidates:
            socket.send(json.dumps({"peer": asked["peer"], "candidate": _to_browser(one)}))


def _request(asked: dict[str, Any]) -> p.MediaRequest:
    peer_id = asked["peer"]
    match asked["task"]:
        case "publish":
            return p.Publish(
                stream_id=asked["stream"],
                peer_id=peer_id,
                sdp_offer=asked["sdp"],
                video_codecs=tuple(asked["codecs"]),
            )
        case "view":
            return p.View(
                stream_id=asked["stream"], peer_id=peer_id, sdp_offer=asked["sdp"], layer=asked["layer"]
            )
        case "candidate":
            return p.AddCandidates(peer_id=peer_id, candidates=(_from_browser(asked["candidate"]),))
        case task:
            raise AssertionError(f"the page asks for {task!r}")


def _to_browser(one: p.Candidate) -> dict[str, Any]:
    return {"candidate": one.candidate, "sdpMid": one.sdp_mid, "sdpMLineIndex": one.sdp_m_line_index}


def _from_browser(one: dict[str, Any]) -> p.Candidate:
    return p.Candidate(
        candidate=one["candidate"],
        sdp_mid=one.get("sdpMid"),
        sdp_m_line_index=one.get("sdpMLineIndex"),
    )
