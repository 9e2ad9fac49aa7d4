"""One answer on its way out."""

from starlette.types import Message, Send

from serving.problems import MEDIA_TYPE, Problem


class Reply:
    """Sends an answer, named by its request id; to a HEAD it is the answer to a GET without the body.

    ``status`` is 0 until the answer has begun; it is ``whole`` once nothing of it is missing.
    """

    def __init__(self, send: Send, request_id: str, *, head_only: bool = False) -> None:
        self.request_id = request_id
        self.status = 0
        self.whole = False
        self._send = send
        self._head_only = head_only

    async def send(self, message: Message) -> None:
        """Takes the messages that an ASGI application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", []), (b"x-request-id", self.request_id.encode())]
            await self._send(message)
            return
        await self._send({**message, "body": b""} if self._head_only else message)
        self.whole = not message.get("more_body", False)

    async def send_problem(self, problem: Problem) -> None:
        body = problem.body(self.request_id)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
