"""The program ``rewards``: a table of commands, each loaded when it is called."""

from __future__ import annotations

import gc
import importlib
import sys
from types import ModuleType

import click

# Where each command is, and what it does.
COMMANDS = {
    "up": ("service.cli.up.command:up", "Run everything on an embedded PostgreSQL, with a demo brand."),
    "serve": ("service.cli.serve.command:serve", "Run the API."),
    "worker": ("service.cli.worker:worker", "Run the jobs behind the API."),
    "migrate": (
        "service.cli.migrate:migrate_command",
        "Bring the database to the newest schema, and restore its roles and rights.",
    ),
    "doctor": ("service.cli.doctor.command:doctor", "Check this installation: Python, PostgreSQL, files, ports, limits."),
    "backup": ("service.cli.backup:backup", "Write a backup: database, secrets file and spool."),
    "restore": ("service.cli.restore:restore", "Restore a backup to an empty target, and audit it."),
    "secrets": ("service.cli.secrets:secrets", "Create the secrets file."),
    "brand": ("service.cli.brand:brand", "Create a brand, or set its issue limit."),
    "key": ("service.cli.key:key", "Create, list or revoke API keys."),
    "person": ("service.cli.people.person:person", "Invite, list, enrol or disable persons."),
    "approval": ("service.cli.people.approval:approval", "Set the limits above which requests wait for another person."),
    "simulate": (
        "service.cli.clients.simulate.command:simulate",
        "Send realistic traffic, or what a messaging provider sends, to a test brand.",
    ),
    "sources": ("service.cli.clients.sources.command:sources", "Connect messaging providers through their own APIs."),
    "import": ("service.cli.import_:import_group", "Import opening balances."),
    "export": ("service.cli.export:export", "Write a brand's books as CSV and journals."),
    "layers": ("service.cli.layers:layers", "Rebuild what tells which grant was spent."),
    "audit": ("service.cli.audit:audit", "Recompute every invariant of the books from the tables."),
}

# Whatever went wrong for one of these reasons, the message says what to do, and a traceback would only hide it.
EXPLAINED = {
    "service.settings:SettingsError",
    "service.storage.embedded_postgres.errors:EmbeddedPostgresError",
    "service.cli.migrate:MigrationRefused",
    "service.cli.up.command:UpFailed",
    "service.cli.serve.supervisor:GaveUp",
    "service.cli.backup_set:BackupRefused",
    "service.storage.postgres_programs:PostgresToolFailed",
    "service.demo_shop.demo_brand:DemoRefused",
    "service.cli.clients.installation:CommandRefused",
    "service.server.health:DatabaseUnsafe",
    "service.brands.errors:BrandExists",
    "service.brands.errors:BrandInvalid",
    "service.brands.errors:BrandUnknown",
    "service.brands.errors:IssueLimitRefused",
    "service.console.sign_in.provider:ProviderInvalid",
    "service.customers.balance_file:BalanceFileInvalid",
    "service.auth.errors:KeyInvalid",
    "service.auth.errors:KeyUnknown",
    "service.approvals.errors:LimitsInvalid",
    "service.persons.errors:InvitationRefused",
    "service.persons.errors:PersonInvalid",
    "service.persons.errors:PersonUnknown",
}
UNREACHABLE = {
    "service.storage.database:DatabaseAway",
    # As the driver itself words it.
    "builtins:ConnectionError",
    "socket:gaierror",
    "asyncpg.exceptions:InvalidPasswordError",
    "asyncpg.exceptions:InvalidCatalogNameError",
    "asyncpg.exceptions:ClientConfigurationError",
}
# What a command looks for is not there, or not as it knows it.
NOT_MIGRATED = {
    "asyncpg.exceptions:UndefinedTableError",
    "asyncpg.exceptions:UndefinedColumnError",
    "asyncpg.exceptions:UndefinedFunctionError",
    "asyncpg.exceptions:InvalidSchemaNameError",
}


class Commands(click.Group):
    """The commands, imported only when needed: ``rewards --help`` should not wait for a web framework."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(_load(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _load(module: str) -> ModuleType:
    if module not in sys.modules:
        # What is loaded stays: the collector would look at it again and again, a quarter of the time until the API starts.
        gc.disable()
        try:
            importlib.import_module(module)
        finally:
            gc.freeze()
            gc.enable()
    return sys.modules[module]


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="atomic-rewards")
def rewards() -> None:
    """Loyalty points for messages. Configured by environment variables REWARDS_..., see docs/operations.md."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit with 1 and one sentence when the operator can do something about it."""
    try:
        rewards(arguments)
    except Exception as error:
        kinds = _kinds(error)
        if kinds & EXPLAINED:
            sys.exit(f"Error: {error}")
        if kinds & UNREACHABLE:
            sys.exit(f"Error: the database cannot be used: {error.__cause__ or error}")
        # An engine wraps what the driver says.
        if (kinds | _kinds(_cause_below(error))) & NOT_MIGRATED:
            sys.exit("Error: the database is not at the schema of this version: `rewards migrate` brings it there")
        raise


def _kinds(error: object) -> set[str]:
    return {f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__}


def _cause_below(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


if __name__ == "__main__":
    main()
