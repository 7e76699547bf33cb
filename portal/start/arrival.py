"""A request on its way in: how much of it is there. Of HTTP this knows where a request ends, and nothing more.

What leaves in doubt where it ends is refused. What is malformed otherwise gunicorn's own parser, which reads the same
bytes next, says.
"""

import re
import tempfile

MOST_OF_A_LINE = 8190
MOST_OF_A_HEAD = 64 * 1024
IN_MEMORY = 256 * 1024
HEAD_SECONDS = 10.0
BODY_SECONDS = 20.0
SLOWEST = 4096  # bytes a second in each of these spans; a telephone line is faster
SHORTEST_WHOLE = 600.0
SLOWEST_WHOLE = 128 * 1024  # bytes a second at which the largest request is all there in time
FRAMING = (b"content-length", b"transfer-encoding")
LENGTH = re.compile(rb"[0-9]{1,19}")
SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
IN_DOUBT = "Where the request ends is in doubt: one plain Content-Length or Transfer-Encoding: chunked says it."
EXPECT = re.compile(rb"\r\nexpect:[^\r\n]*(?=\r\n)", re.IGNORECASE)


class Refused(Exception):
    """The request is not taken in; ``str()`` is the sentence for whoever sent it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def _declared(lengths: list[bytes], codings: list[bytes]) -> int:
    """The length that headers declare, 0 where they declare none.

    Raises
    ------
    Refused
        They leave room for two readings. A proxy that takes the other one would give its next client's answer away.
    """
    if codings not in ([], [b"chunked"]) or len(lengths) + len(codings) > 1:
        raise Refused(400, IN_DOUBT)
    if not lengths:
        return 0
    if LENGTH.fullmatch(lengths[0]) is None:
        raise Refused(400, IN_DOUBT)
    return int(lengths[0])


class Arrival:
    """The bytes of one request, gathered until it is whole. ``rest`` is what came of the next one."""

    def __init__(self, *, limit: int, now: float, patience: float = HEAD_SECONDS) -> None:
        self.limit = limit
        self.head = bytearray()
        self.body = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  closed with the answer
        self.written = 0
        self.rest = b""
        self.complete = False
        self.asks_first = False  # the client waits to be told to go on
        self.deadline = now + patience
        self.progressed = now  # when enough had come, the last time
        self._ends = now
        self._counted = 0
        self._state = "head"
        self._left = 0  # bytes of a body or of a chunk that are to come
        self._decoded = 0
        self._pending = b""

    @property
    def in_head(self) -> bool:
        return self._state == "head"

    @property
    def on_disk(self) -> int:
        """Bytes that are kept in a file, not in memory."""
        return self.written if self.written > IN_MEMORY else 0

    def take(self, data: bytes, now: float) -> None:
        """More has come.

        Raises
        ------
        Refused
            It is larger than anything that is taken in.
        OSError
            There is no room to keep it.
        """
        if self._state == "head":
            if not self.head:
                self.deadline = now + HEAD_SECONDS
            found = self._take_head(data)
            if found is None:
                return
            data = found
            self._read_framing()
            self._ends = now + max(SHORTEST_WHOLE, self.limit / SLOWEST_WHOLE)
            self.progressed = now
        if self.complete:
            self.rest += data
            return
        self._take_body(self._pending + data)
        # What came fast before buys no time: each span has to bring its part.
        if self.written - self._counted >= SLOWEST * BODY_SECONDS:
            self._counted, self.progressed = self.written, now
        self.deadline = min(self.progressed + BODY_SECONDS, self._ends)

    def _take_head(self, data: bytes) -> bytes | None:
        """What follows the head, once it is all there."""
        begin = max(0, len(self.head) - 3)
        self.head += data
        end = self.head.find(b"\r\n\r\n", begin)
        if (len(self.head) if end < 0 else end) > MOST_OF_A_HEAD:
            raise Refused(431, "The headers of the request are too long.")
        if end < 0:
            if len(self.head) > MOST_OF_A_LINE and b"\r\n" not in self.head:
                raise Refused(414, "The address is too long.")
            return None
        rest = bytes(self.head[end + 4 :])
        del self.head[end + 4 :]
        return rest

    def _read_framing(self) -> None:
        lengths, codings, expects = [], [], False
        for line in bytes(self.head).split(b"\r\n")[1:]:
            written, _, value = line.partition(b":")
            name, value = written.strip().lower(), value.strip(b" \t")
            if name in FRAMING and len(name) != len(written):
                raise Refused(400, IN_DOUBT)  # another reader may not take it for the header that it looks like
            if name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                codings.append(value.lower())
            elif name == b"expect":
                expects = value.lower() == b"100-continue"
        length = _declared(lengths, codings)
        if codings:
            self._state = "size"
        elif length:
            self._left = self._within(length)
            self._state = "length"
        else:
            self._end()
        if expects and not self.complete:
            # Answered here: the parser would answer once more, after the body.
            self.asks_first = True
            self.head = bytearray(EXPECT.sub(b"", bytes(self.head)))

    def _within(self, length: int) -> int:
        if length > self.limit:
            most = self.limit // (1024 * 1024)
            raise Refused(413, f"The request is larger than {most} MB, the most that is accepted at once.")
        return length

    def _end(self, rest: bytes = b"") -> None:
        self._state, self.complete, self.rest, self._pending = "end", True, rest, b""

    def _keep(self, data: bytes) -> None:
        self.body.write(data)
        self.written += len(data)
        # Chunks of one byte, each with a long extension, must not pass the limit either.
        self._within(self.written // 8)

    def _take_body(self, data: bytes) -> None:
        at = 0
        while not self.complete:
            ahead = at
            at = getattr(self, f"_take_{self._state}")(data, at)
            if at == ahead and not self.complete:
                break
        if not self.complete:
            self._pending = data[at:]

    def _take_length(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        self._keep(piece)
        self._left -= len(piece)
        at += len(piece)
        if not self._left:
            self._end(data[at:])
        return at

    def _take_size(self, data: bytes, at: int) -> int:
        """The line before a chunk that tells its size."""
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > MOST_OF_A_LINE:
                raise Refused(400, IN_DOUBT)
            return at
        word, extended, _ = data[at:end].partition(b";")
        word = word.rstrip(b" \t") if extended else word
        if SIZE.fullmatch(word) is None:
            raise Refused(400, IN_DOUBT)
        size = int(word, 16)
        self._decoded = self._within(self._decoded + size)
        self._keep(data[at : end + 2])
        self._left = size + 2
        self._state = "chunk" if size else "trailer"
        return end + 2

    def _take_chunk(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._left]
        ends = data[at + max(self._left - 2, 0) : at + self._left]
        if not b"\r\n"[2 - min(self._left, 2) :].startswith(ends):
            raise Refused(400, IN_DOUBT)
        self._keep(piece)
        self._left -= len(piece)
        if not self._left:
            self._state = "size"
        return at + len(piece)

    def _take_trailer(self, data: bytes, at: int) -> int:
        end = at + 2 if data.startswith(b"\r\n", at) else data.find(b"\r\n\r\n", at) + 4
        if end - at < 2 or end < 4 and not data.startswith(b"\r\n", at):
            if len(data) - at > MOST_OF_A_LINE:
                raise Refused(400, IN_DOUBT)
            return at
        self._keep(data[at:end])
        self._end(data[end:])
        return end

    def close(self) -> None:
        self.body.close()
