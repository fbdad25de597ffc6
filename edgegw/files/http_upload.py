"""Uploads over HTTP: a raw body, with or without a Content-Disposition, or the first file of a form.

Rules of this file:
- The body goes block by block into a part file; an announced length is only believed when it is too large.
- "100 Continue" is said when the upload is wanted and has room, so that a charger that waits for it sends
  nothing in vain.
- A body that ends early, a form without its last boundary or a peer that stands still leaves nothing.
- What arrives is never unpacked nor decompressed: it is kept as it came, with its Content-Encoding.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from email.message import Message
from typing import Final, Literal, NamedTuple

from aiohttp import BodyPartReader, MultipartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from multidict import CIMultiDictProxy

from edgegw.files.doors import Doorkeeper, Read, Transfer
from edgegw.files.receiving import Reception, RefusalKind, UploadRefused
from edgegw.files.upload_index import UploadSlot, shown_name
from edgegw.files.uploads import UploadStore

log = logging.getLogger(__name__)

FORM_OVERHEAD_BYTES: Final = 64 * 1024  # boundaries, headers and the other fields of a form
FORM_PARTS_MAX: Final = 16  # fields before the file
FORM_LINE_BYTES_MAX: Final = 2048
OUR_NAME: Final = {"Server": "edgegw"}  # and no word of what it is made of

_NOT_A_FORM = (HttpProcessingError, ValueError, RuntimeError)  # what aiohttp raises for one
_STATUS: dict[RefusalKind, int] = {"too_large": 413, "no_room": 507, "closed": 409, "broken": 400}


class Body(NamedTuple):
    """Where the bytes of the file come from, and what is said of them."""

    read: Read
    name: str
    content_type: str
    content_encoding: str = ""
    field: str = ""
    disposition: str = ""


class UploadDoor:
    """Answers PUT and POST to an upload's address."""

    def __init__(self, keeper: Doorkeeper, uploads: UploadStore, wall: Callable[[], float]) -> None:
        self._keeper = keeper
        self._uploads = uploads
        self._wall = wall

    async def answer(self, request: web.BaseRequest, token: str, name: str) -> web.StreamResponse | None:
        """None: this token opens nothing. Raises Busy."""
        slot = self._uploads.slot_of(token)
        if slot is None:
            return None
        transfer = self._transfer(request, slot, name)
        with self._keeper.share(token), self._keeper.listed(transfer):
            try:
                kept = await self._receive(request, token, name, transfer)
            except UploadRefused as error:
                transfer.state = "refused"
                log.warning("upload of %s was refused: %s", slot.charger, error)
                return _closing(_STATUS[error.kind], error.text)
            except (TimeoutError, ConnectionError, RequestPayloadError) as error:
                log.info("upload of %s was cut: %s", slot.charger, str(error) or type(error).__name__)
                return _closing(400, "the upload is not complete")
            transfer.state = "done"
        log.info("received %d bytes of %s from %s", kept.size_bytes, kept.kind, kept.charger)
        # RFC 9110 9.3.4: 201 when a PUT made something new.
        return answer_of(201 if request.method == "PUT" and not slot.path_name else 200, "received")

    async def _receive(
        self, request: web.BaseRequest, token: str, name: str, transfer: Transfer
    ) -> UploadSlot:
        form = request.content_type == "multipart/form-data"
        declared = request.content_length
        if form and declared is not None:
            declared = max(0, declared - FORM_OVERHEAD_BYTES)
        reception = await self._uploads.receive(token, declared)
        try:
            await _say_continue(request)
            body = await self._form_body(request, name) if form else _raw_body(request, name)
            transfer.name = shown_name(body.name)
            await self._keeper.move(transfer, body.read, reception.write)
            if not form and request.content_length not in (None, reception.size_bytes):
                raise UploadRefused("broken", "the upload is not complete")
            return await _finish(reception, request, body)
        finally:
            await reception.abort()

    async def _form_body(self, request: web.BaseRequest, name: str) -> Body:
        async with asyncio.timeout(self._keeper.settings.stall_timeout_s):
            part = await _first_file(request)
        return Body(
            read=_part_reader(part),
            name=part.filename or name,
            content_type=part.headers.get("Content-Type", ""),
            field=part.name or "file",
        )

    def _transfer(self, request: web.BaseRequest, slot: UploadSlot, name: str) -> Transfer:
        return Transfer(
            charger=slot.charger,
            name=shown_name(name),
            order=slot.order,
            direction="up",
            protocol="https" if request.secure else "http",
            peer_ip=request.remote or "",
            started_at=self._wall(),
            total_bytes=request.content_length,
        )


async def _finish(reception: Reception, request: web.BaseRequest, body: Body) -> UploadSlot:
    method: Literal["PUT", "POST"] = "PUT" if request.method == "PUT" else "POST"
    return await reception.finish(
        method=method,
        sent_name=body.name,
        content_type=body.content_type,
        content_encoding=body.content_encoding,
        field=body.field,
        disposition=body.disposition,
    )


async def _say_continue(request: web.BaseRequest) -> None:
    """A low-level server must say it itself; HTTP/1.0 has no such thing."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer has not begun by it


def _raw_body(request: web.BaseRequest, name: str) -> Body:
    """OCPP 2.0.1 N01.FR.19: a POST says in Content-Disposition what the file is called."""
    headers: CIMultiDictProxy[str] = request.headers
    disposition = headers.get("Content-Disposition", "")
    return Body(
        read=request.content.read,
        name=_named(disposition) or name,
        disposition=disposition,
        content_type=headers.get("Content-Type", ""),
        content_encoding=headers.get("Content-Encoding", ""),
    )


def _named(disposition: str) -> str:
    """The file name in a Content-Disposition, in either of its forms (RFC 6266)."""
    message = Message()
    message["Content-Disposition"] = disposition.encode("utf-8", "replace").decode()
    try:
        return message.get_filename("")
    except (TypeError, ValueError, LookupError):  # the library's answers to nonsense in it
        return ""


async def _first_file(request: web.BaseRequest) -> BodyPartReader:
    """The first part that has a file name."""
    try:
        parts = MultipartReader(
            request.headers, request.content, max_field_size=FORM_LINE_BYTES_MAX, max_headers=FORM_PARTS_MAX
        )
        for _ in range(FORM_PARTS_MAX):
            part = await parts.next()
            if part is None:
                break
            if isinstance(part, BodyPartReader) and part.filename is not None:
                return part
    except _NOT_A_FORM as error:
        raise UploadRefused("broken", "the form cannot be read") from error
    raise UploadRefused("broken", "the form has no file in it")


def _part_reader(part: BodyPartReader) -> Read:
    """Reads up to the boundary. Raises UploadRefused when the body ends before it."""
    boundary_room = 256  # aiohttp needs more room than a boundary has: at most 70 characters

    async def read(size_bytes: int) -> bytes:
        try:
            while not part.at_eof():
                if chunk := await part.read_chunk(max(size_bytes, boundary_room)):
                    return bytes(chunk)
        except _NOT_A_FORM as error:
            raise UploadRefused("broken", "the form is not complete") from error
        return b""

    return read


def answer_of(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers=OUR_NAME)


def _closing(status: int, text: str) -> web.Response:
    """What is still to come of a refused body is not wanted on this connection."""
    response = answer_of(status, text)
    response.force_close()
    return response
