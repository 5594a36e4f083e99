"""What a person is told: a refusal to start, and a refusal of a request."""


class StartError(Exception):
    """The server cannot start; the message says what is wrong and what is allowed."""


class RequestError(Exception):
    """A request that is refused with an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = headers or {}
