"""Settings as HELLO compares them."""

from __future__ import annotations

import unittest

from routy.settings import Settings, format_duration

from .vectors import vector_list


class SettingsTexts(unittest.TestCase):
    def test_durations_are_written_as_the_vectors_say(self) -> None:
        for vector in vector_list("durations.json"):
            with self.subTest(vector["text"]):
                self.assertEqual(format_duration(vector["ms"]), vector["text"])

    def test_all_three_are_texts(self) -> None:
        texts = Settings(heartbeat_interval_ms=500, heartbeat_misses=4, resume_time_ms=0).texts()
        self.assertEqual(
            texts,
            {"heartbeat_interval": "500ms", "heartbeat_misses": "4", "resume_time": "0ms"},
        )
