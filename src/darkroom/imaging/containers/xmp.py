"""XMP: a description as RDF in XML, alone in a packet or added to the packet that a backend wrote.

The prompt is `dc:description`, where viewers look for it; model, seed and parameters, and the
prompt where the backend has a `dc:description` of its own, are in a namespace of ours.
"""

import re
from bisect import bisect_right
from dataclasses import replace
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from darkroom.imaging.description import SOFTWARE, Description, from_fields

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_BASIC = "http://ns.adobe.com/xap/1.0/"
_OURS = "urn:darkroom:xmp:1.0/"

_OPEN = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">'
).encode()
_CLOSE = b"</rdf:RDF>"
_TAIL = b'</x:xmpmeta><?xpacket end="w"?>'

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Quotes too, though XML would not ask for it in text: Pillow, and surely others, search packets for
# `tiff:Orientation="6"`, and a prompt must not turn the picture. A bare CR would be read back as LF.
_ESCAPES = {'"': "&quot;", "'": "&apos;", "\r": "&#13;"}


def write(description: Description, *, theirs: bytes, room: int) -> bytes | None:
    """A packet of at most `room` bytes that says `description` after all that the packet `theirs` says.

    What does not fit is left out: first the end of the prompt, then the parameters. None where
    `theirs` is no packet in UTF-8 or leaves no room.
    """
    before, close, after = theirs.rpartition(_CLOSE) if theirs else (_OPEN, _CLOSE, _TAIL)
    if not close:
        return None
    room -= len(before) + len(close) + len(after)
    for candidate in (description, replace(description, parameters={})):
        block = _fitted(candidate, theirs, room)
        if block is not None:
            return before + block + close + after
    return None


def read(packet: bytes) -> Description | None:
    """The description that `write` put into `packet` last."""
    try:
        # Expat bounds what entities may expand to, and resolves no external ones.
        root = ElementTree.fromstring(packet.strip(b"\0"))  # noqa: S314
    except (ElementTree.ParseError, LookupError, ValueError):
        return None
    ours = [node for node in root.iter(f"{{{_RDF}}}Description") if _own_fields(node)]
    if not ours:
        return None
    caption = root.findtext(f".//{{{_DC}}}description/{{{_RDF}}}Alt/{{{_RDF}}}li", default="")
    return from_fields({"prompt": caption} | _own_fields(ours[-1]))


def _own_fields(node: ElementTree.Element) -> dict[str, str]:
    namespace = f"{{{_OURS}}}"
    return {child.tag.removeprefix(namespace): child.text or "" for child in node if child.tag.startswith(namespace)}


def _fitted(description: Description, theirs: bytes, room: int) -> bytes | None:
    """The block, its prompt shortened to as many characters as fit; None if not even the rest fits."""
    room -= len(_block(replace(description, prompt=""), theirs))
    prompt = description.prompt
    if room < 0:
        return None
    if len(_text(prompt)) > room:
        fitting = bisect_right(range(len(prompt) + 1), room, key=lambda n: len(_text(prompt[:n]))) - 1
        description = replace(description, prompt=prompt[:fitting])
    return _block(description, theirs)


def _block(description: Description, theirs: bytes) -> bytes:
    fields = {f"darkroom:{name}": _text(text) for name, text in description.fields().items()}
    if b"dc:description" not in theirs:
        prompt = fields.pop("darkroom:prompt")
        fields["dc:description"] = b'<rdf:Alt><rdf:li xml:lang="x-default">' + prompt + b"</rdf:li></rdf:Alt>"
    if b":CreatorTool" not in theirs:
        fields["xmp:CreatorTool"] = _text(SOFTWARE)
    names = f'xmlns:dc="{_DC}" xmlns:xmp="{_BASIC}" xmlns:darkroom="{_OURS}"'
    body = b"".join(b"<%b>%b</%b>" % (name.encode(), text, name.encode()) for name, text in fields.items())
    return f'<rdf:Description xmlns:rdf="{_RDF}" rdf:about="" {names}>'.encode() + body + b"</rdf:Description>"


def _text(text: str) -> bytes:
    """`text` as XML, in UTF-8, less the characters that XML 1.0 cannot hold."""
    return escape(_FORBIDDEN.sub("", text), _ESCAPES).encode()
