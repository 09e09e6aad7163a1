"""Where an API key is looked for, in which order, and that it is shown nowhere."""

import os
import sys
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

from ftkit.errors import EndpointError
from ftkit.hosted import endpoint, secrets

SERVICE = endpoint("http://127.0.0.1:9/v1", key_env="MY_KEY")


@pytest.fixture(autouse=True)
def nobody_and_nothing(monkeypatch):
    """No key anywhere, and nobody at the keyboard."""
    monkeypatch.setenv("MY_KEY", "")  # so that what a test puts there goes away after it
    monkeypatch.setattr(secrets, "_somebody_is_there", lambda: False)


@pytest.fixture
def colab(monkeypatch):
    """``google.colab.userdata`` by its documented face: the real one runs on Google's machines only."""
    package, module, userdata = ModuleType("google"), ModuleType("google.colab"), ModuleType("google.colab.userdata")
    for name in ("SecretNotFoundError", "NotebookAccessError", "TimeoutException"):
        setattr(userdata, name, type(name, (Exception,), {}))
    userdata.kept = {}

    def get(name):
        found = userdata.kept.get(name) or userdata.SecretNotFoundError(name)
        if isinstance(found, Exception):
            raise found
        return found

    userdata.get, module.userdata, package.colab = get, userdata, module
    for each in (package, module, userdata):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    return userdata


def test_on_colab_the_secret_comes_before_the_environment(colab, monkeypatch):
    monkeypatch.setenv("MY_KEY", "from-environment")
    colab.kept["MY_KEY"] = "from-colab\n"
    assert SERVICE.key == "from-colab"


@pytest.mark.parametrize("why", ["SecretNotFoundError", "NotebookAccessError", "TimeoutException"])
def test_a_secret_that_colab_does_not_give_is_looked_for_in_the_environment(why, colab, monkeypatch):
    colab.kept["MY_KEY"] = getattr(colab, why)("MY_KEY")
    monkeypatch.setenv("MY_KEY", "from-environment")
    assert SERVICE.key == "from-environment"


def test_what_else_goes_wrong_in_colab_is_not_hidden(colab):
    colab.kept["MY_KEY"] = RuntimeError("another thing")
    with pytest.raises(RuntimeError, match="another thing"):
        secrets.find("MY_KEY")


def test_the_person_at_the_keyboard_is_asked_once_and_last(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(secrets, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(secrets, "getpass", lambda words: asked.append(words) or " typed ")
    assert (SERVICE.key, SERVICE.key) == ("typed", "typed")
    assert asked == ["MY_KEY (not shown, not stored): "]
    assert "typed" not in "".join(capsys.readouterr()) and "typed" not in repr(SERVICE)


@pytest.mark.parametrize("answer", ["", EOFError()])
def test_no_answer_is_no_key(answer, monkeypatch):
    def getpass(words):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(secrets, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(secrets, "getpass", getpass)
    with pytest.raises(EndpointError, match="no API key"):
        _ = SERVICE.key
    assert os.environ["MY_KEY"] == ""


def test_where_nobody_can_answer_the_error_says_where_to_put_a_key():
    with pytest.raises(EndpointError, match=r"MY_KEY is empty.*getpass.*on Colab, add a secret named MY_KEY"):
        _ = SERVICE.key


def test_a_notebook_run_by_a_program_gets_the_error_and_waits_for_nobody():
    """In a real kernel, which has no keyboard when nbclient runs it."""
    code = "import ftkit as ft\ntry:\n    ft.endpoint('http://127.0.0.1:9/v1', 'NO_SUCH_KEY').key\nexcept ft.EndpointError as error:\n    print(error)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert "no API key" in notebook.cells[0].outputs[0].text
