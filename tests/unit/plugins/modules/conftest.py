# SPDX-FileCopyrightText: 2026 vfio.migration contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import signal
import typing as t

import pytest
from ansible.module_utils import basic

try:
    from ansible.module_utils.testing import patch_module_args
except ImportError:  # before ansible-core 2.19
    patch_module_args = None


@pytest.fixture(autouse=True)
def restored_signals() -> t.Iterator[None]:
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


@pytest.fixture
def run_module(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> t.Callable[..., dict[str, t.Any]]:
    """Return a function that runs the ``main`` of a module with arguments and returns the result that it prints."""

    def run(main: t.Callable[[], None], **arguments: t.Any) -> dict[str, t.Any]:
        # Each run of a module is a process of its own; what a module keeps for the next must not be seen.
        with pytest.raises(SystemExit):
            if patch_module_args:
                with patch_module_args(arguments):
                    main()
            else:
                encoded = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
                monkeypatch.setattr(basic, "_ANSIBLE_ARGS", encoded)
                main()
        return json.loads(capfd.readouterr().out)

    return run
