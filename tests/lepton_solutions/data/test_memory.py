"""How much memory is free, by the machine and by the control group the process runs in."""

import psutil
import pytest
import torch

from lepton_solutions.data.memory import available_memory, budget


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:  8000 kB\nMemAvailable:   4000 kB\n")
    return tmp_path


def test_this_machine_has_what_psutil_finds():
    assert available_memory() <= psutil.virtual_memory().total
    assert available_memory() > 2**20


def test_without_a_control_group_the_machine_decides(machine):
    assert available_memory(machine) == 4_000 * 1024


@pytest.mark.parametrize(
    ("listed", "folder", "limit", "used", "freed"),
    [
        ("0::/job/step\n", "sys/fs/cgroup/job", "memory.max", "memory.current", "inactive_file"),
        ("0::/../host/path\n", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "4:memory:/job\n3:cpu:/job\n",
            "sys/fs/cgroup/memory/job",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
)
def test_the_control_group_decides_where_it_leaves_less(machine, listed, folder, limit, used, freed):
    (machine / "proc/self/cgroup").write_text(listed)
    (machine / folder).mkdir(parents=True)
    (machine / folder / limit).write_text("3000000\n")
    (machine / folder / used).write_text("2500000\n")
    (machine / folder / "memory.stat").write_text(f"anon 1\n{freed} 400000\n")
    assert available_memory(machine) == 3_000_000 - 2_500_000 + 400_000


def test_a_group_without_a_limit_leaves_the_machine_to_decide(machine):
    (machine / "proc/self/cgroup").write_text("0::/\n")
    (machine / "sys/fs/cgroup").mkdir(parents=True)
    (machine / "sys/fs/cgroup/memory.max").write_text("max\n")
    (machine / "sys/fs/cgroup/memory.current").write_text("2500000\n")
    assert available_memory(machine) == 4_000 * 1024


def test_the_budget_is_the_users_or_half_of_what_is_free(monkeypatch):
    monkeypatch.setattr("lepton_solutions.data.memory.available_memory", lambda: 1_000)
    assert budget(2.5, torch.device("cpu")) == 2_500_000_000
    assert budget(None, torch.device("cpu")) == 500
