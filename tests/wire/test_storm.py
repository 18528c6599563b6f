"""2,000 messages over 40 parallel connections arrive exactly once."""

from load import Load
from sinkd_server import Server
from wire_test import run


def every_message_arrives_once():
    with Server(workers=40) as server:
        load = Load(server.addresses[0]).send(2000)
        load.join()
        assert len(load.accepted) >= 2000 and not load.lost_in_data | load.lost_after_dot
        assert load.check(server.stored()) == set(load.accepted)
        assert server.listing("tmp") == []


def every_message_is_counted_once_with_discard():
    with Server("--discard", workers=40) as server:
        load = Load(server.addresses[0]).send(2000)
        load.join()
        ids = {reply.split()[-1] for reply in load.accepted.values()}
        assert len(ids) == len(load.accepted) >= 2000
        assert len(server.events("message.accepted")) == len(ids)


run(every_message_arrives_once, every_message_is_counted_once_with_discard)
