"""A gRPC client for tests. Arguments: port, scenario. Prints what it sees, one line a fact; the last is "end"."""
import queue
import sys

import grpc

port, scenario = sys.argv[1:]
channel = grpc.insecure_channel(f'127.0.0.1:{port}', options=[('grpc.enable_http_proxy', 0), ('grpc.enable_retries', 0)])
unary = channel.unary_unary('/test.Echo/Unary')
server_stream = channel.unary_stream('/test.Echo/ServerStream')
client_stream = channel.stream_unary('/test.Echo/ClientStream')
bidi = channel.stream_stream('/test.Echo/Bidi')
nowhere = channel.unary_unary('/test.Echo/Nowhere')
ANN = (('x-user', 'ann'),)
LIMIT = 20  # no call of a test takes so long


def say(*words):
    print(*words, flush=True)


def text(message):
    return message.decode()


class Messages:
    """An iterator over messages that are put into it, until close()."""
    def __init__(self, *first):
        self.queue = queue.Queue()
        for message in first:
            self.queue.put(message)

    def put(self, message):
        self.queue.put(message)

    def close(self):
        self.queue.put(None)

    def __iter__(self):
        return iter(self.queue.get, None)


def code_of(what):
    """The code with which a call ends, and its details."""
    try:
        what()
        return 'OK'
    except grpc.RpcError as error:
        return error.code().name


def trailing(call):
    return dict(call.trailing_metadata()).get('my-result', 'none')


def kinds():
    response, call = unary.with_call(b'hello', timeout=LIMIT)
    say('unary', text(response), trailing(call))
    stream = server_stream(b'hello', timeout=LIMIT)
    say('server_stream', len(list(stream)), trailing(stream))
    response, call = client_stream.with_call(iter([b'a', b'b', b'c']), timeout=LIMIT)
    say('client_stream', text(response), trailing(call))
    messages = Messages()
    stream = bidi(iter(messages), timeout=LIMIT)
    for word in b'one', b'two', b'three':  # each answer is awaited
        messages.put(word)
        say('bidi', text(next(stream)))
    messages.close()
    say('bidi ended', len(list(stream)), trailing(stream))
    big = b'x' * 1000000
    say('big', len(unary(big, timeout=LIMIT)) > len(big))


def statuses():
    for status in 'NOT_FOUND', 'UNAVAILABLE', 'RESOURCE_EXHAUSTED':
        try:
            unary(b'fail ' + status.encode(), timeout=LIMIT)
        except grpc.RpcError as error:
            say(status, error.code().name, error.details(), trailing(error))
    say('nowhere', code_of(lambda: nowhere(b'', timeout=LIMIT)))


def elsewhere():
    """Calls that one of two backends refuses."""
    for backend in 'a', 'b':
        say(backend, code_of(lambda: unary(b'elsewhere ' + backend.encode(), timeout=LIMIT)))


def deadline():
    say('unary', code_of(lambda: unary(b'slow', timeout=0.5)))
    stream = server_stream(b'hang', timeout=0.5)
    say('stream began', text(next(stream)))
    say('stream', code_of(lambda: next(stream)))
    call = unary.with_call(b'quick', timeout=10)[1]
    left = float(dict(call.trailing_metadata())['deadline-left'])
    say('left', 'some' if 0 < left < 12 else left)


def local():
    try:
        unary(b'hello', timeout=LIMIT)
    except grpc.RpcError as error:
        say(error.code().name, error.details())


def death():
    """Calls of all kinds are open when their backend is killed."""
    say('home', text(unary(b'hello', timeout=LIMIT, metadata=ANN)))
    waiting = unary.future(b'slow', timeout=LIMIT, metadata=ANN)
    down = server_stream(b'hang', timeout=LIMIT, metadata=ANN)
    next(down)
    unfinished = Messages(b'a')
    up = client_stream.future(iter(unfinished), timeout=LIMIT, metadata=ANN)
    up.initial_metadata()  # waits for it
    open_end = Messages(b'a')
    both = bidi(iter(open_end), timeout=LIMIT, metadata=ANN)
    next(both)
    say('open')
    say('unary', code_of(waiting.result))
    say('server_stream', code_of(lambda: next(down)))
    say('client_stream', code_of(up.result))
    say('bidi', code_of(lambda: next(both)))
    unfinished.close()
    open_end.close()
    for _ in range(3):
        say('next', text(unary(b'hello', timeout=LIMIT, metadata=ANN)))


globals()[scenario]()
say('end')
