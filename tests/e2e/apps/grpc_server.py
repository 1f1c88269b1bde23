"""A gRPC server for tests, without generated code: messages are bytes. Arguments: port, name.

Responses are "NAME SESSION MESSAGE": who answers, the Remora-Session that came with the call ("-": none), and what was
said. Calls end with the metadata my-result. The file NAME.not-serving, if it is there, makes the health check say so."""
import os
import sys
import time
from concurrent import futures

import grpc

port, name, folder = sys.argv[1:]


def said(context, message):
    session = dict(context.invocation_metadata()).get('remora-session', '-')
    return f'{name} {session} '.encode() + message


def ended(context):
    context.set_trailing_metadata((('my-result', name), ('deadline-left', f'{context.time_remaining() or -1:.3f}')))


def unary(request, context):
    ended(context)
    if request == b'slow':
        time.sleep(30)
    if request.startswith(b'fail '):
        context.abort(grpc.StatusCode[request[5:].decode()], 'as asked')
    if request == b'elsewhere ' + name.encode():
        context.abort(grpc.StatusCode.UNAVAILABLE, 'not here')
    return said(context, request)


def server_stream(request, context):
    ended(context)
    yield said(context, request)
    if request == b'hang':
        time.sleep(30)
    for i in range(3):
        yield said(context, b'%d' % i)


def client_stream(requests, context):
    ended(context)
    context.send_initial_metadata((('begun', name),))
    return said(context, b','.join(requests))


def bidi(requests, context):
    ended(context)
    for request in requests:
        yield said(context, request)


def check(request, context):
    return b'\x08\x02' if os.path.exists(f'{folder}/{name}.not-serving') else b'\x08\x01'


METHODS = {
    '/test.Echo/Unary': grpc.unary_unary_rpc_method_handler(unary),
    '/test.Echo/ServerStream': grpc.unary_stream_rpc_method_handler(server_stream),
    '/test.Echo/ClientStream': grpc.stream_unary_rpc_method_handler(client_stream),
    '/test.Echo/Bidi': grpc.stream_stream_rpc_method_handler(bidi),
    '/grpc.health.v1.Health/Check': grpc.unary_unary_rpc_method_handler(check),
}


class Methods(grpc.GenericRpcHandler):
    def service(self, call):
        return METHODS.get(call.method)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=20), handlers=[Methods()],
                     options=[('grpc.so_reuseport', 0), ('grpc.enable_http_proxy', 0)])
if server.add_insecure_port(f'127.0.0.1:{port}') == 0:
    sys.exit('port in use')
server.start()
server.wait_for_termination()
