"""gRPC, with reflection, health, and a log of calls in an interceptor."""

from __future__ import annotations

import time
from concurrent import futures
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha import reflection_pb2 as v1alpha_messages
from grpc_reflection.v1alpha import reflection_pb2_grpc as v1alpha

from users_service.errors import Code, as_call_error
from users_service.methods import METHODS, PACKAGE, Method
from users_service.servers.context import split_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

    from users_service.call import Call
    from users_service.servers.context import Context
    from users_service.service import Conversation

#: How many calls are served at once; a stream occupies one for as long as it lasts.
_CALLS_AT_ONCE = 128
#: How long calls may go on once the server is told to stop, in seconds.
_GRACE = 1.0
#: What is longer is no deadline, in seconds.
_ENDLESS = 1e9
_REFLECTION = "grpc.reflection.v1.ServerReflection"
_STATUS = {status.value[0]: status for status in grpc.StatusCode}
SERVICES = tuple(sorted({name.partition(".")[0] for name in METHODS}))


class GrpcServer:
    """Serves gRPC from its construction on, until `stop`.

    listen: HOST:PORT; port 0 is any free one. Raises OSError when it cannot be had.
    """

    def __init__(self, context: Context, listen: str) -> None:
        host, _ = split_address(listen)
        self._server = grpc.server(
            futures.ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="grpc"),
            options=[
                ("grpc.max_receive_message_length", context.max_message),
                ("grpc.max_send_message_length", context.max_message),
                # Two servers on one port would share the calls.
                ("grpc.so_reuseport", 0),
            ],
            interceptors=[_CallLog(context)] if context.log_calls else [],
        )
        for service in SERVICES:
            handlers = {
                name.partition(".")[2]: _handler(context, method)
                for name, method in METHODS.items()
                if name.startswith(f"{service}.")
            }
            generic = grpc.method_handlers_generic_handler(f"{PACKAGE}.{service}", handlers)
            self._server.add_generic_rpc_handlers((generic,))
        names = [f"{PACKAGE}.{service}" for service in SERVICES]
        self._health = health.HealthServicer()
        for name in ("", *names):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._reflect((*names, health.SERVICE_NAME, reflection.SERVICE_NAME, _REFLECTION))
        try:
            port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {listen}: {error}") from None
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._server.start()

    def _reflect(self, names: tuple[str, ...]) -> None:
        """Serve reflection under its present name too: its messages are those of v1alpha."""
        servicer = reflection.ReflectionServicer(names)
        v1alpha.add_ServerReflectionServicer_to_server(servicer, self._server)
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            v1alpha_messages.ServerReflectionRequest.FromString,
            v1alpha_messages.ServerReflectionResponse.SerializeToString,
        )
        generic = grpc.method_handlers_generic_handler(_REFLECTION, {"ServerReflectionInfo": handler})
        self._server.add_generic_rpc_handlers((generic,))

    def stop(self) -> None:
        """Say on the health service that this is the end, let calls come to theirs for a moment, and stop."""
        self._health.enter_graceful_shutdown()
        self._server.stop(_GRACE).wait()


class _CallLog(grpc.ServerInterceptor):  # type: ignore[type-arg]
    """Notes each call of the service when it is over."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of one call."""
        handler = continuation(handler_call_details)
        name = handler_call_details.method.removeprefix(f"/{PACKAGE}.").replace("/", ".")
        if name not in METHODS or handler is None:
            return handler
        return _make(METHODS[name], lambda behaviour: self._noted(name, behaviour), handler)

    def _noted(self, name: str, behaviour: Callable[..., Any]) -> Callable[..., Any]:
        def noted(request: Any, context: grpc.ServicerContext) -> Any:
            began = time.perf_counter()

            def over() -> None:
                # A call that went well has no code of its own.
                status = context.code()  # type: ignore[attr-defined]
                code = Code(status.value[0]) if status else Code.OK
                self._context.note("grpc", name, code, began)

            context.add_callback(over)
            return behaviour(request, context)

        return noted


def _behaviour(handler: grpc.RpcMethodHandler[Any, Any], method: Method) -> Any:
    kind = f"{'stream' if method.client_streams else 'unary'}_{'stream' if method.server_streams else 'unary'}"
    return getattr(handler, kind)


def _make(
    method: Method, wrap: Callable[[Any], Any], handler: grpc.RpcMethodHandler[Any, Any]
) -> grpc.RpcMethodHandler[Any, Any]:
    return _METHOD_HANDLERS[method.client_streams, method.server_streams](
        wrap(_behaviour(handler, method)), handler.request_deserializer, handler.response_serializer
    )


_METHOD_HANDLERS: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _handler(context: Context, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
    """Return what gRPC calls. Requests come as bytes: what is no message is then answered as the contract says."""

    def replies(received: Any, rpc: grpc.ServicerContext) -> Iterator[Message]:
        try:
            call = _call(context, rpc)
            if method.client_streams:
                yield from _converse(method, context.service.conversations[method.name](call), received)
            elif method.server_streams:
                yield from context.service.handlers[method.name](method.parse(received), call)
            else:
                yield context.service.handlers[method.name](method.parse(received), call)
        except Exception as error:
            _abort(rpc, error)

    def one_reply(received: Any, rpc: grpc.ServicerContext) -> Message:
        return next(replies(received, rpc))

    behaviour = replies if method.server_streams else one_reply
    make = _METHOD_HANDLERS[method.client_streams, method.server_streams]
    return make(behaviour, None, method.reply.SerializeToString)


def _converse(method: Method, conversation: Conversation, received: Iterator[bytes]) -> Iterator[Message]:
    for body in received:
        answer = conversation.take(method.parse(body))
        if answer is not None:
            yield answer
    reply = conversation.finish()
    if reply is not None:
        yield reply


def _call(context: Context, rpc: grpc.ServicerContext) -> Call:
    left = rpc.time_remaining()
    # Without a deadline it is infinite.
    return context.begin(max(int(left * 1000), 1) if left is not None and left < _ENDLESS else 0)


def _abort(rpc: grpc.ServicerContext, error: Exception) -> NoReturn:
    if not rpc.is_active():
        # The client has gone; there is nobody to tell, and nothing to log.
        raise error
    known = as_call_error(error)
    rpc.abort(_STATUS[known.code], known.message)
    raise AssertionError("abort raises")
