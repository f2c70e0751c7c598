"""What the methods do, whatever the transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from users_service.errors import CallError, Code, invalid
from users_service.wire import items_pb2, users_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from users_service.call import Call
    from users_service.store import Store

    #: Takes the request and returns the reply, or an iterator of replies where the server streams.
    Handler = Callable[[Any, Call], Any]


class Conversation(Protocol):
    """A call whose client streams: it is told what comes as it comes, so that threads and coroutines can hold it."""

    def take(self, request: Any, /) -> Message | None:
        """Take the client's next message; return the answer to it, if there is one at once."""

    def finish(self) -> Message | None:
        """Take note of the stream's end; return the reply, if the server does not stream."""


CATALOGUE = 1_000_000
MAX_DELAY_MS = 10_000


class Service:
    """The handlers of all methods; threads may share them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.handlers: dict[str, Handler] = {
            "Users.List": self.list_users,
            "Users.Get": self.get_user,
            "Users.Create": self.create_user,
            "Users.Update": self.update_user,
            "Users.Delete": self.delete_user,
            "Users.Search": self.search_users,
            "Items.Get": get_item,
            "Items.List": list_items,
            "Items.Echo": echo,
        }
        #: Of the methods whose clients stream.
        self.conversations: dict[str, Callable[[Call], Conversation]] = {
            "Items.Upload": Upload,
            "Items.Chat": Chat,
        }

    def list_users(self, _request: users_pb2.ListUsersRequest, call: Call) -> users_pb2.UserList:
        """All users."""
        call.check()
        return users_pb2.UserList(users=self._store.all())

    def get_user(self, request: users_pb2.GetUserRequest, call: Call) -> users_pb2.User:
        """One user."""
        call.check()
        return self._store.get(request.id)

    def create_user(self, request: users_pb2.CreateUserRequest, call: Call) -> users_pb2.User:
        """Add a user."""
        call.check()
        return self._store.create(request.name, request.email)

    def update_user(self, request: users_pb2.UpdateUserRequest, call: Call) -> users_pb2.User:
        """Replace a user's fields."""
        call.check()
        return self._store.update(request.id, request.name, request.email)

    def delete_user(self, request: users_pb2.DeleteUserRequest, call: Call) -> users_pb2.User:
        """Remove a user."""
        call.check()
        return self._store.delete(request.id)

    def search_users(self, request: users_pb2.SearchUsersRequest, call: Call) -> users_pb2.UserList:
        """Users that contain a text."""
        call.check()
        return users_pb2.UserList(users=self._store.search(request.q))


def _item(number: int) -> items_pb2.Item:
    return items_pb2.Item(id=number, name=f"item {number}")


def get_item(request: items_pb2.GetItemRequest, _call: Call) -> items_pb2.Item:
    """One item."""
    if request.id == 0:
        raise invalid("field 'id' is missing or 0: items count from 1")
    if request.id > CATALOGUE:
        raise CallError(Code.NOT_FOUND, f"there is no item {request.id}: the last one is {CATALOGUE}")
    return _item(request.id)


def list_items(request: items_pb2.ListItemsRequest, call: Call) -> Iterator[items_pb2.Item]:
    """Yield a stretch of the catalogue."""
    if request.first == 0:
        raise invalid("field 'first' is missing or 0: items count from 1")
    for number in range(request.first, min(request.first + request.count, CATALOGUE + 1)):
        call.check()
        yield _item(number)


class Upload:
    """Counts items and adds up their ids."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._count = self._sum = 0

    def take(self, item: items_pb2.Item) -> None:
        """Count an item. INVALID_ARGUMENT for one that lacks a field."""
        self._call.check()
        if item.id == 0 or not item.name.strip():
            lacking = "id" if item.id == 0 else "name"
            raise invalid(f"item {self._count + 1} of the upload has no {lacking}; nothing counts")
        self._count += 1
        self._sum += item.id

    def finish(self) -> items_pb2.UploadSummary:
        """Return what came."""
        return items_pb2.UploadSummary(count=self._count, sum=self._sum)


class Chat:
    """Answers each line in upper case."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._number = 0

    def take(self, line: items_pb2.ChatLine) -> items_pb2.ChatLine:
        """Return the answer to a line."""
        self._call.check()
        self._number += 1
        return items_pb2.ChatLine(number=self._number, text=line.text.upper())

    def finish(self) -> None:
        """Return nothing: all is said."""


def echo(request: items_pb2.EchoRequest, call: Call) -> items_pb2.EchoReply:
    """Return the same bytes."""
    pause(request.delay_ms, call)
    return items_pb2.EchoReply(payload=request.payload)


def pause(delay_ms: int, call: Call) -> None:
    """Wait as long as an echo was told to."""
    delay = checked_delay(delay_ms)
    if delay:
        call.pause(delay)
    else:
        call.check()


def checked_delay(delay_ms: int) -> float:
    """Return the delay of an echo, in seconds. INVALID_ARGUMENT for one that is too long."""
    if delay_ms > MAX_DELAY_MS:
        raise invalid(f"field 'delay_ms' is {delay_ms}, at most {MAX_DELAY_MS} are taken")
    return delay_ms / 1000
