"""An import in an interpreter that is not supported fails with a reason, and changes nothing elsewhere."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE

if TYPE_CHECKING:
    from conftest import Spawn

SUB_INTERPRETER = """
import sys
try:
    import _interpreters as interpreters  # since Python 3.13
except ImportError:
    import _xxsubinterpreters as interpreters

def use():
    import eshm
    name = sys.argv[1]
    with eshm.Endpoint(name, role="master") as master, eshm.Endpoint(name, role="slave") as slave:
        master.send(b"main")
        assert slave.recv(timeout=30) == b"main"

if sys.argv[2] == "after":
    use()
created = {
    (3, 11): lambda: interpreters.create(isolated=False),
    (3, 12): lambda: interpreters.create(isolated=False),
}.get(sys.version_info[:2], lambda: interpreters.create("legacy"))()
interpreters.run_string(created, '''
try:
    import eshm
except ImportError as error:
    print("ImportError:", error, flush=True)
else:
    print("imported", flush=True)
''')
interpreters.destroy(created)
use()
print("main is well", flush=True)
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_sub_interpreter_is_told_that_it_cannot_import(name: str, spawn: Spawn, order: str) -> None:
    child = spawn(SUB_INTERPRETER, name, order)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, err
    first, second = out.splitlines()
    assert first.startswith("ImportError: eshm cannot be used in a sub-interpreter"), first
    assert second == "main is well"


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("value", ctypes.c_void_p)]


class _ModuleDef(ctypes.Structure):
    """`PyModuleDef` of a Python with the interpreter lock."""

    _fields_ = [
        ("object", ctypes.c_void_p * 2),
        ("init", ctypes.c_void_p),
        ("index", ctypes.c_ssize_t),
        ("copy", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("doc", ctypes.c_char_p),
        ("size", ctypes.c_ssize_t),
        ("methods", ctypes.c_void_p),
        ("slots", ctypes.POINTER(_Slot)),
    ]


def test_the_module_does_not_claim_to_work_without_the_lock() -> None:
    """A free-threaded Python enables its lock for a module without this slot, or with this value."""
    library = ctypes.PyDLL(eshm._eshm.__file__)
    library.PyInit__eshm.restype = ctypes.POINTER(_ModuleDef)
    definition = library.PyInit__eshm().contents
    assert definition.name == b"_eshm"
    gil, gil_used = 4, None  # Py_mod_gil, Py_MOD_GIL_USED
    index = 0
    while (slot := definition.slots[index]).slot:
        assert slot.slot != gil or slot.value == gil_used
        index += 1
    assert index > 0
