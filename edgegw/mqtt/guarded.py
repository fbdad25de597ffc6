"""What a broker may send: looked at before paho unpacks it, which costs it time in the square of a packet.

Rules of this file:
- A message that a stranger made too large is not read and costs no connection: a retained one would end each
  connection anew. It is acknowledged, so that it does not come again, and counted.
- What only a broker can do wrong ends the connection, and `breach` says in words what it was.
- At most `packet_max` and one read of a packet are in memory.
"""

from __future__ import annotations

from collections.abc import Callable

from paho.mqtt.client import Client
from paho.mqtt.enums import MessageType, MQTTErrorCode, MQTTProtocolVersion

PACKET_MAX = 72 * 1024  # bytes: a request of 64 KiB, its topic and its properties
READ_BYTES = 16 * 1024  # one TLS record
# paho unpacks the 400 that fit in 8 ms, 14,000 in 0.6 s, 50,000 in 8 s
PROPERTIES_MAX = 2048
CONTROL_MAX = 4096  # a packet that is no message: a SUBACK of 30 subscriptions takes 40


class GuardedClient(Client):
    """`breach`: what the broker did wrong, "" while nothing."""

    packet_max = PACKET_MAX
    breach = ""
    on_unread: Callable[[str], object] | None = None  # told why a message was not read

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """One packet at most; paho reads as many as messages are under way."""
        if self._sock is None:
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        outcome = self._packet_read()
        if outcome == MQTTErrorCode.MQTT_ERR_PROTOCOL:
            self.breach = self.breach or "what is not MQTT"
        return self._loop_rc_handle(outcome) if outcome > 0 else MQTTErrorCode.MQTT_ERR_SUCCESS

    def _sock_recv(self, bufsize: int) -> bytes:
        """Of what is too long only the head stays: it says what is to be acknowledged."""
        del self._in_packet["packet"][self.packet_max :]
        return super()._sock_recv(min(bufsize, READ_BYTES))

    def _packet_handle(self) -> MQTTErrorCode:
        command, size = self._in_packet["command"], self._in_packet["remaining_length"]
        if command & 0xF0 == MessageType.PUBLISH:
            return self._handle_message((command & 0x06) >> 1, size)
        if size > CONTROL_MAX:
            return self._break(f"a packet of {size} bytes that is no message")
        return super()._packet_handle()

    def _handle_message(self, qos: int, size: int) -> MQTTErrorCode:
        if qos > 1:
            return self._break(f"a message with QoS {qos}, for which nobody asked")
        packet = self._in_packet["packet"]
        after_topic = 2 + int.from_bytes(packet[:2], "big")
        if size > self.packet_max:
            why = f"a message of more than {self.packet_max} bytes"
        elif self._protocol == MQTTProtocolVersion.MQTTv5 and _is_long(packet, after_topic + 2 * qos):
            why = f"a message with more than {PROPERTIES_MAX} bytes of properties"
        else:
            return super()._packet_handle()
        if self.on_unread is not None:
            self.on_unread(why)
        packet_id = int.from_bytes(packet[after_topic : after_topic + 2], "big")
        return self._send_puback(packet_id) if qos else MQTTErrorCode.MQTT_ERR_SUCCESS

    def _break(self, breach: str) -> MQTTErrorCode:
        self.breach = breach
        return MQTTErrorCode.MQTT_ERR_PROTOCOL


def _is_long(packet: bytearray, at: int) -> bool:
    """Whether the properties that begin there are longer than PROPERTIES_MAX; their length comes first."""
    length = 0
    for place, byte in enumerate(packet[at : at + 4]):
        length |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return length > PROPERTIES_MAX
