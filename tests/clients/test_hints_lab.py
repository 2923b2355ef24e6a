"""The networks behind a host's cards, as the center and the host itself show them."""
from segment import run_in
from test_network_lab import network_itself, network_of, segment  # noqa: F401 (a fixture)
from test_pyvmomi_lab import wait_for


def subnets(network, device):
    hint, = network.QueryNetworkHint([device])
    assert hint.device == device
    return {(subnet.vlanId, subnet.ipSubnet) for subnet in hint.subnet}


def test_the_networks_behind_a_card_are_shown_by_the_center_and_by_the_host(lab, segment):
    with segment.neighbour(20, "10.78.0.1") as neighbour:
        # The requested addresses need not exist.
        for namespace, address in ((neighbour, "10.78.0.100"), (segment.namespace, "10.77.0.254")):
            run_in(namespace, "ping", "-c", "1", "-W", "1", address, check=False)
        for network in (network_of(lab)[1], network_itself(lab)[1]):
            assert network.capabilities.supportsNetworkHints
            wait_for(lambda: subnets(network, "vmnic0") >= {(20, "10.78.0.1-10.78.0.127"), (0, "10.77.0.1-10.77.0.254")})
            # A card without a switch shows nothing.
            assert not subnets(network, "vmnic1")
