"""Content by CID and by name over HTTP: what a request asks for, and which answer it gets.

Synchronous over what is here. A block or name that is not here is raised (`BlockMissing`, `NameUnknown`); the
app then either fetches it and asks again, or says that it is not here.
"""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from content import cid as codecs
from content import ipns
from content.block import BlockMissing
from content.cid import Cid
from content.path import Resolved, resolve
from content.unixfs import directory
from content.unixfs.file import leaves, node
from content.unixfs.message import Kind
from gateway import redirects_file
from gateway.car_answer import car_answer
from gateway.content_fields import CORS
from gateway.content_request import ContentRequest, Reading, Target, encoded, parse_query, split_path
from gateway.dag_answer import dag_answer, is_value, preview_answer
from gateway.directory_answer import directory_answer
from gateway.file_answer import FileShown, file_answer, proof_of_file, symlink_answer
from gateway.formats import PROOFS, TRUSTLESS, Format, asked_form
from gateway.head_look import Look
from gateway.hosts import Hosts, Site, SiteKind, is_dnslink_name, label_of, root_of
from gateway.ipns_record_answer import ipns_record_answer
from gateway.mutable import Names, NameUnknown
from gateway.ports import DagStore, Deny, Fetcher
from gateway.raw_answer import raw_answer
from gateway.tar_answer import tar_answer
from net.answer import Answer
from net.http1 import Request
from runtime.errors import (
    BadRequest,
    BlobDamaged,
    EdgeError,
    NotAcceptable,
    NotFound,
    NotImplementedHere,
    PreconditionFailed,
    Unverified,
)

NAMESPACES: Final = ("ipfs", "ipns")
# An empty raw identity block: how clients ask whether this is a gateway (trustless gateway spec)
PROBE: Final = "bafkqaaa"
_KIND: Final = "other"


@dataclass(frozen=True, slots=True)
class ContentApp:
    """Answers requests for content."""

    dag: DagStore
    hosts: Hosts
    names: Names
    deny: Deny
    fetcher: Fetcher | None

    def decide(self, request: Request, site: Site, account: str | None) -> Answer:
        """The answer. Raises EdgeError; BlockMissing and NameUnknown for what could be fetched."""
        asked = self._asked(request, site, account)
        if isinstance(asked, Answer):
            return asked
        redirect = self._to_origin(asked)
        if redirect is not None:
            return redirect
        self.deny.check_path(asked.namespace, asked.root_text, asked.segments)
        fetcher = None if is_cached_only(request) else self.fetcher
        read = self.read_checked if fetcher is None else self.read_sound
        look = Look(read) if request.method == "HEAD" else None
        reading = Reading(self.dag, read if look is None else look.read, self.deny, fetcher)
        try:
            if asked.asked.form is Format.IPNS_RECORD:
                return ipns_record_answer(asked, self.names)
            answer = self._answer(asked, reading)
            return answer if look is None else look.checked(answer, fetches=fetcher is not None)
        except (BlockMissing, NameUnknown):
            if is_cached_only(request):
                raise PreconditionFailed("the content is not here", where=asked.ipfs_path[:160]) from None
            raise

    def read_checked(self, cid: Cid) -> bytes:
        """A block that the denylist does not name. Raises BlockMissing, Blocked."""
        self.deny.check(cid)
        return self.dag.read(cid)

    def read_sound(self, cid: Cid) -> bytes:
        """As `read_checked`; a block that is damaged is missing, and so can be fetched again."""
        try:
            return self.read_checked(cid)
        except BlobDamaged:
            raise BlockMissing(cid) from None

    # What is asked

    def _asked(self, request: Request, site: Site, account: str | None) -> ContentRequest | Answer:
        query = parse_query(request.query)
        if site.is_isolated:
            namespace, root_text, raw = site.namespace, site.root, request.path
            if site.kind is SiteKind.SUBDOMAIN:
                root_text, canonical = root_of(namespace, site.root)
                if canonical is not None:
                    return _redirect(301, _origin(site, namespace, canonical) + _rest(raw, request.query))
        else:
            namespace = request.path[1:5]
            if query.get("uri") and request.path in (f"/{namespace}/", f"/{namespace}"):
                return _from_uri(query["uri"])
            root_text, slash, more = request.path[6:].partition("/")
            root_text, raw = unquote(root_text), slash + more
            if request.fields.get("service-worker") == "script" and not slash:
                # Its scope would be everything under /ipfs/ (path gateway specification)
                raise BadRequest("navigator.serviceWorker: registration is not allowed for this scope")
        if not root_text:
            raise BadRequest(f'invalid path "/{namespace}/"', hint=f"/{namespace}/<name>/<path>")
        form = asked_form(request, query)
        asked = ContentRequest(
            request, site, namespace, root_text, raw, split_path(raw), query, form, account
        )
        return self._checked_root(asked)

    def _checked_root(self, asked: ContentRequest) -> ContentRequest | Answer:
        """Refuse a root that is no name before anything is done about it; send old key forms on."""
        text = asked.root_text
        if asked.namespace == "ipfs":
            try:
                Cid.parse(text)
            except BadRequest as error:
                raise BadRequest(f'invalid path "/ipfs/{text}": {error.message}', hint=error.hint) from None
            return asked
        try:
            name = ipns.parse_name(text)
        except BadRequest as error:
            if is_dnslink_name(text):
                return asked
            raise BadRequest(f'invalid path "/ipns/{text}": {error.message}', hint=error.hint) from None
        canonical = ipns.name_text(name)
        if text != canonical and asked.site.kind is SiteKind.PATH:
            location = f"/ipns/{canonical}" + _rest(asked.raw_path, asked.request.query)
            return _redirect(302, location)
        return asked

    def _to_origin(self, asked: ContentRequest) -> Answer | None:
        """The redirect to the content's own origin, for hosts that have subdomains."""
        if asked.site.kind is not SiteKind.SUBDOMAINS or asked.asked.form in TRUSTLESS:
            return None
        label = label_of(asked.namespace, asked.root_text)
        origin = _origin(asked.site, asked.namespace, label)
        path = "".join(f"/{encoded(segment)}" for segment in asked.segments)
        path += "/" if asked.raw_path.endswith("/") or not path else ""
        return _redirect(301, origin + _rest(path, asked.request.query))

    # Which answer

    def _answer(self, asked: ContentRequest, reading: Reading) -> Answer:
        root, before, ttl_s = self._root(asked)
        try:
            return self._below(asked, replace(reading, root=root), (root, before, ttl_s))
        except BlockMissing as missing:
            missing.root = root
            raise

    def _below(
        self, asked: ContentRequest, reading: Reading, found: tuple[Cid, tuple[str, ...], float | None]
    ) -> Answer:
        root, before, ttl_s = found
        segments = (*before, *asked.segments)
        self.deny.check(root)
        self.deny.check_way((root,), segments)
        try:
            resolved = resolve(root, segments, reading.read)
        except BlockMissing:
            raise
        except NotFound:
            shown = self._by_redirects(asked, reading, (root, before, ttl_s))
            if shown is None:
                raise
            return shown
        self.deny.check(resolved.terminal)
        self.deny.check_way(resolved.along, segments)
        along = resolved.along[len(before) :]
        if before:
            resolved = Resolved(resolved.terminal, along, resolved.walked, resolved.remainder)
        target = Target(root, segments, resolved, ttl_s)
        try:
            return self._formed(asked, target, reading)
        except BlockMissing as missing:
            # the path has been walked: what is missing now belongs to what is shown
            entity = asked.asked.form is not Format.RAW
            raise BlockMissing(missing.cid, entity=entity, whole=missing.whole) from None

    def _root(self, asked: ContentRequest) -> tuple[Cid, tuple[str, ...], float | None]:
        if asked.namespace == "ipfs":
            return Cid.parse(asked.root_text), (), None
        followed = self.names.follow(
            asked.root_text,
            lambda name, segments: self.deny.check_path("ipns", name, (*segments, *asked.segments)),
            asks=self.fetcher is not None and not is_cached_only(asked.request),
        )
        return followed.root, followed.segments, followed.ttl_s

    def _formed(self, asked: ContentRequest, target: Target, reading: Reading) -> Answer:
        form, cid = asked.asked.form, target.resolved.terminal
        if target.resolved.remainder:
            raise NotImplementedHere(
                "a path inside a block is not answered: only links can be followed",
                where="/".join(target.resolved.remainder)[:160],
                hint=f"ask for the block itself: /ipfs/{cid}",
            )
        if form is Format.RAW:
            return raw_answer(asked, target, reading)
        if form is Format.CAR:
            return car_answer(asked, target, reading)
        if form is Format.TAR:
            return tar_answer(asked, target, reading)
        if form in PROOFS:
            return proof_of_file(asked, target, reading)
        if is_value(cid):
            html = asked.asked.html and form is Format.NATIVE
            return (preview_answer if html else dag_answer)(asked, target, reading)
        if form in (Format.DAG_JSON, Format.DAG_CBOR):
            raise NotAcceptable(
                f"a {cid.codec_name} block is not given as {form.value}",
                where=cid.text(),
                hint="codecs are not converted here; format=raw gives the block",
            )
        return self._unixfs(asked, target, reading)

    def _unixfs(self, asked: ContentRequest, target: Target, reading: Reading) -> Answer:
        cid = target.resolved.terminal
        if cid.codec not in (codecs.DAG_PB, codecs.RAW):
            return raw_answer(asked, target, reading)
        if cid.codec == codecs.DAG_PB:
            found = node(cid, reading.read(cid))
            if directory.is_directory(found.message.kind):
                return directory_answer(asked, target, reading, found)
            if found.message.kind is Kind.SYMLINK:
                return symlink_answer(asked, target, reading, cid)
        name = target.segments[-1] if target.segments else ""
        return file_answer(asked, target, reading, FileShown(cid, name, cid))

    # _redirects

    def _by_redirects(
        self, asked: ContentRequest, reading: Reading, root: tuple[Cid, tuple[str, ...], float | None]
    ) -> Answer | None:
        """What the website's `_redirects` says of a path that it does not have."""
        cid, before, ttl_s = root
        if not asked.site.is_isolated or asked.asked.form is not Format.NATIVE:
            return None
        try:
            found = resolve(cid, (*before, redirects_file.FILE_NAME), reading.read)
        except BlockMissing:
            raise
        except EdgeError:
            return None
        rules = redirects_file.parse(_rules_file(found.terminal, reading))
        match = redirects_file.match(rules, asked.segments)
        if match is None:
            return None
        if match.is_redirect:
            return _redirect(match.status, match.to)
        to = split_path(match.to.partition("?")[0])
        self.deny.check_way((cid,), (*before, *to))
        resolved = resolve(cid, (*before, *to), reading.read)
        self.deny.check(resolved.terminal)
        if directory.is_directory(directory.kind_of(resolved.terminal, reading.read(resolved.terminal))):
            resolved = resolve(cid, (*before, *to, "index.html"), reading.read)
        target = Target(cid, (*before, *to), resolved, ttl_s)
        shown = FileShown(resolved.terminal, to[-1] if to else "index.html", resolved.terminal, match.status)
        return file_answer(asked, target, reading, shown)


def _rules_file(cid: Cid, reading: Reading) -> bytes:
    """`_redirects`, at most one byte more than it may have. Raises BlockMissing, RedirectsBroken."""
    content = b""
    limit = redirects_file.MAX_BYTES + 1
    try:
        for leaf in leaves(cid, reading.read, 0, limit):
            content += reading.read(leaf.cid)[leaf.block_start : leaf.block_stop]
    except (BadRequest, Unverified) as error:
        raise redirects_file.RedirectsBroken(error.message) from None
    return content


def is_cached_only(request: Request) -> bool:
    """Whether the client wants nothing fetched for it (RFC 9111 §5.2.1.7)."""
    return "only-if-cached" in (request.fields.get("cache-control") or "").lower()


def options_answer() -> Answer:
    """OPTIONS of anything that is content: what scripts of other origins may do."""
    return Answer(200, [("Allow", "GET, HEAD, OPTIONS"), *CORS, ("Access-Control-Max-Age", "86400")], b"")


def _from_uri(uri: str) -> Answer:
    """`/ipfs/?uri=ipfs://…`, as browsers send it for a protocol handler."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme in NAMESPACES and rest:
        return _redirect(301, f"/{scheme}/" + "/".join(encoded(part) for part in unquote(rest).split("/")))
    raise BadRequest("the uri is neither ipfs:// nor ipns://", where=uri[:80])


def _origin(site: Site, namespace: str, label: str) -> str:
    return f"{site.scheme}://{label}.{namespace}.{site.base}"


def _rest(path: str, query: str) -> str:
    return (path or "") + (f"?{query}" if query else "")


def _redirect(status: int, location: str) -> Answer:
    return Answer(status, [("Location", location), ("Cache-Control", "no-cache"), *CORS], b"", kind=_KIND)
