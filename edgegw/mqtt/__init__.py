"""Diagnostics for the building over MQTT, and its limits and commands back in."""
