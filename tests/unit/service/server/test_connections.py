"""Which connection makes room for a new one."""

from dataclasses import dataclass

from service.server.connections import Connections


@dataclass(eq=False)
class Conn:
    client_address: str = "client"


def test_the_oldest_waiting_one_of_the_same_client_makes_room() -> None:
    connections = Connections[Conn](limit=100, limit_per_client=3)
    other, served, first, second = Conn("other"), Conn(), Conn(), Conn()
    for conn in (other, served, first, second):
        connections.add(conn)
        assert connections.surplus(conn) is None
        connections.wait(conn, 10.0)
    connections.stop_waiting(served)
    new = Conn()
    connections.add(new)

    assert connections.surplus(new) is first


def test_a_proxy_may_have_more_than_one_client_but_not_more_than_all() -> None:
    connections = Connections[Conn](limit=4, limit_per_client=1, proxies={"proxy"})
    conns = [Conn("proxy") for _ in range(4)]
    for conn in conns:
        connections.add(conn)
        assert connections.surplus(conn) is None
        connections.wait(conn, 10.0)
    new = Conn("proxy")
    connections.add(new)

    assert connections.surplus(new) is conns[0]


def test_the_oldest_waiting_one_of_all_makes_room() -> None:
    connections = Connections[Conn](limit=2, limit_per_client=2)
    first, second, new = Conn("a"), Conn("b"), Conn("c")
    for conn in (first, second):
        connections.add(conn)
        connections.wait(conn, 10.0)
    connections.add(new)

    assert connections.surplus(new) is first
    connections.remove(first)
    assert connections.surplus(new) is None


def test_the_new_one_is_closed_if_all_others_are_served() -> None:
    connections = Connections[Conn](limit=100, limit_per_client=2)
    for conn in (Conn(), Conn()):
        connections.add(conn)
    new = Conn()
    connections.add(new)

    assert connections.surplus(new) is new


def test_who_waits_anew_is_the_youngest() -> None:
    connections = Connections[Conn](limit=1)
    first, second = Conn(), Conn()
    for conn in (first, second, first):
        connections.wait(conn, 10.0)

    assert connections.waiting() == [second, first]


def test_those_that_waited_too_long_have_expired() -> None:
    connections = Connections[Conn]()
    short, long = Conn(), Conn()
    connections.wait(short, 10.0)
    connections.wait(long, 20.0)

    assert connections.expired(9.9) == []
    assert connections.expired(10.0) == [short]
    connections.bring_forward(9.0)
    assert connections.expired(9.0) == [short, long]
