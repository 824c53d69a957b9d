"""The brokers that Celery can use, as they are installed here."""

import subprocess
from pathlib import Path

from darkroom.errors import Unavailable
from darkroom.stack.family import Member
from darkroom.stack.process import Process, program
from darkroom.stack.service import HOST, Service, converse, free_port, kept, write

RABBITMQ = "apt install rabbitmq-server, or set DARKROOM_BROKER_URL to one that runs elsewhere"
REDIS = "apt install redis-server, or set DARKROOM_BROKER_URL to one that runs elsewhere"
USER = "darkroom"
_PURGE = "[rabbit_amqqueue:purge(Queue) || Queue <- rabbit_amqqueue:list()]."


class RabbitMQ(Service):
    """A node of its own, with its own name server, cookie and folders; no plugins. Raises `NotInstalled`."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._server, self._control = _script("rabbitmq-server"), _script("rabbitmqctl")
        super().__init__("rabbitmq", folder, port)
        self.command = [self._server]
        self.environment = _environment(self.folder) | self._places()
        epmd = program("epmd", RABBITMQ, folders=sorted(Path("/usr/lib/erlang").glob("erts-*/bin")))
        self._names = Process("epmd", [epmd], self.folder, environment=self.environment)

    @property
    def url(self) -> str:
        """The address of its first virtual host."""
        return f"amqp://{USER}:{self.password}@{HOST}:{self.port}//"

    def launch(self) -> None:
        self._configure()
        self._names.start()
        super().launch()

    def _end(self, members: list[Member]) -> None:
        super()._end(members)
        self._names.kill()

    def answers(self) -> bool:
        """Whether it greets who speaks its protocol."""
        return converse(self.port, b"AMQP\x00\x00\x09\x01", expected=b"\x01\x00\x00")

    def empty(self) -> None:
        """Throw away what waits in every queue; takes seconds. Raises `Unavailable`."""
        done = subprocess.run(  # noqa: S603
            [self._control, "eval", _PURGE], env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Unavailable(f"{self.name} was not emptied: {done.stderr.strip()}")

    def _configure(self) -> None:
        write(
            self.folder / "rabbitmq.conf",
            f"listeners.tcp.1 = {HOST}:{self.port}\ndefault_user = {USER}\ndefault_pass = {self.password}\n",
        )
        write(self.folder / "enabled_plugins", "[].\n")
        write(self.folder / "environment", "# in the place of /etc/rabbitmq/rabbitmq-env.conf\n")

    def _places(self) -> dict[str, str]:
        """Where it keeps what; and that the script which starts it becomes the server, for signals to reach it."""
        return {
            "RABBITMQ_ALLOW_INPUT": "yes",
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "environment"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_DIST_PORT": kept(self.folder / "dist_port", free_port),
        }


class Redis(Service):
    """A server of its own that appends what it is told to a file. Raises `NotInstalled`."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        installed = program("redis-server", REDIS)
        super().__init__("redis", folder, port)
        self._configuration = self.folder / "redis.conf"
        self.command = [installed, str(self._configuration)]

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def launch(self) -> None:
        write(
            self._configuration,
            f"bind {HOST}\nport {self.port}\nrequirepass {self.password}\n"
            f'dir "{self.folder}"\nappendonly yes\nsave ""\n',
        )
        super().launch()

    def answers(self) -> bool:
        """Whether it takes commands: not yet while it reads its file."""
        return self._say("PING", expected=b"+PONG")

    def empty(self) -> None:
        """Forget everything. Raises `Unavailable`."""
        if not self._say("FLUSHALL", expected=b"+OK"):
            raise Unavailable(f"{self.name} was not emptied")

    def _say(self, command: str, *, expected: bytes) -> bool:
        words = f"AUTH {self.password}\r\n{command}\r\n".encode()
        return converse(self.port, words, expected=b"+OK\r\n" + expected)


def _environment(folder: Path) -> dict[str, str]:
    """What a node and its tools need to find each other, by a name server of their own.

    Nobody may stop the one that all nodes of this machine share, and the first of them starts it.
    """
    return {
        "PATH": f"{Path(program('erl', RABBITMQ)).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),  # of the cookie
        "LC_ALL": "C.UTF-8",
        "ERL_EPMD_PORT": kept(folder / "epmd_port", free_port),
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_NODENAME": "darkroom@localhost",
    }


def _script(name: str) -> str:
    """A program of RabbitMQ itself, not the distribution's wrapper, which insists on its own user and folder."""
    return program(name, RABBITMQ, folders=["/usr/lib/rabbitmq/bin"])
