"""The command line. A verb parses its words and calls the function that does the work; heavy imports wait inside it.

Exit codes: 0 done, 2 a mistake of the user's (one message on stderr), 130 stopped with Ctrl-C.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from lepton_solutions import __version__
from lepton_solutions.endings import is_first, leave, one_voice, world
from lepton_solutions.errors import UserError, did_you_mean


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `lepton`."""
    out = sys.stdout
    try:
        with one_voice():
            code = lepton.main(args=arguments, prog_name="lepton", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        code = 2
    except (KeyboardInterrupt, click.Abort):
        if is_first():
            click.echo("stopped; the same command goes on from the last finished stage", err=True)
        code = 130
    except SystemExit as leaving:  # click's way out when the reader of our output went away, as `| head` does
        code = leaving.code if sys.stdout is out else 0
    ended = code if isinstance(code, int) else 0
    if world() > 1 and (torch := sys.modules.get("torch")) is not None and torch.distributed.is_initialized():
        leave(ended)
    sys.exit(ended)


class Verbs(click.Group):
    """A group whose unknown verb is answered with the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise UserError(f"unknown command `{args[0]}`: {did_you_mean(args[0], self.commands)}")
        return super().resolve_command(ctx, args)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lepton")
def lepton() -> None:
    """From raw domain data to a calibrated model that can be shipped.

    \b
    lepton run finance/credit                                           a first run, no download
    lepton run finance/credit data.path=loans.csv data.target=default   your own file
    lepton predict runs/finance/credit/... applicants.csv               decisions for new rows
    """


def _complete_pipeline(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from lepton_solutions.places import pipelines

    return [CompletionItem(name) for name in pipelines() if name.startswith(incomplete)]


def _complete_override(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from lepton_solutions.completion import overrides

    return [CompletionItem(text, help=note) for text, note in overrides(ctx.params.get("pipeline"), incomplete)]


@lepton.command()
@click.argument("pipeline", shell_complete=_complete_pipeline)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=_complete_override)
@click.option(
    "-m", "--multirun", is_flag=True, help="Run every combination of comma-separated values, such as seed=0,1,2."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--cfg", is_flag=True, help="Print the resolved config and stop.")
def run(pipeline: str, overrides: tuple[str, ...], multirun: bool, quiet: bool, cfg: bool) -> None:
    """Run a pipeline: raw rows to report, metrics and bundle.

    KEY=VALUE is Hydra's grammar; `lepton run PIPELINE --cfg` shows every key.
    """
    from lepton_solutions.config import read_jobs

    jobs = read_jobs(pipeline, overrides, multirun=multirun)
    if cfg:
        click.echo("\n---\n".join(job.resolved for job in jobs), nl=False)
        return
    from lepton_solutions.pipeline import execute
    from lepton_solutions.progress import Progress
    from lepton_solutions.reporting.headline import headline

    progress = Progress(quiet=quiet or not is_first())
    for job in jobs:
        folder = execute(job, progress)
        if is_first():
            click.echo(headline(folder))


@lepton.command(name="list")
def list_pipelines() -> None:
    """Show each pipeline, its data sets, and where each was found or how to get it."""
    from lepton_solutions.catalogue import catalogue

    click.echo(catalogue())


@lepton.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def audit(path: Path, overrides: tuple[str, ...]) -> None:
    """Run the leakage audit alone: on a file, a folder of train/validation/test files, or a run folder.

    \b
    lepton audit loans.csv target=default group=customer
    lepton audit prepared/ target=default           train.csv, validation.csv, test.csv
    """
    from lepton_solutions.inspection import inspect

    text, failed = inspect(path, overrides)
    click.echo(text)
    if failed:
        raise click.exceptions.Exit(2)


@lepton.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("rows")
@click.option(
    "-o",
    "--output",
    default="-",
    help="Where to write: .csv, .parquet or .jsonl; - is stdout, as CSV. With --dicom a folder.",
    show_default=True,
)
@click.option("--encoding", default=None, help="Of a text file; UTF-8 unless said.")
@click.option("--dicom", is_flag=True, help="Of images: a structured report and captures for each study instead.")
def predict(bundle: Path, rows: str, output: str, encoding: str | None, dicom: bool) -> None:
    """Score ROWS with a run or a bundle: id, probability, decision.

    ROWS: a table (.csv, .parquet, .jsonl, or - for stdin); for an imaging bundle an image, a study or a folder.
    """
    from lepton_solutions.deploy.dispatch import predict as score

    click.echo(score(bundle, rows, output, encoding=encoding, dicom=dicom), err=True)


@lepton.command()
@click.argument("pipeline", shell_complete=_complete_pipeline)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=_complete_override)
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True, help="Folder to pack into.")
def fetch(pipeline: str, overrides: tuple[str, ...], folder: Path) -> None:
    """Pack the data and weights that a pipeline needs, to carry them to a machine without internet."""
    from lepton_solutions.fetching import fetch as pack

    click.echo(pack(pipeline, overrides, folder))


@lepton.command()
@click.argument("runs", nargs=-1, required=True)
def compare(runs: tuple[str, ...]) -> None:
    """One table over run folders ('runs/**' works): what differed in the config, the metrics with intervals."""
    from lepton_solutions.reporting.compare import compare as table_of

    click.echo(table_of(runs))


@lepton.command()
@click.argument("name")
@click.option("--rows", multiple=True, metavar="TASK", help="Only these tasks; may be given several times.")
@click.option("--seeds", type=click.IntRange(min=1), default=None, help="Only the first N seeds.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), default=None, help="Also write the rows to this file."
)
def bench(name: str, rows: tuple[str, ...], seeds: int | None, json_file: Path | None) -> None:
    """Reproduce a published benchmark beside its rivals: `lepton bench credit`."""
    from lepton_solutions.bench import run_bench

    run_bench(name, tasks=rows, seeds=seeds, json_file=json_file, echo=click.echo)


@lepton.command()
def doctor() -> None:
    """Check versions, devices, engines and the data root; say what to do about each finding."""
    from lepton_solutions.doctor import examine

    text, healthy = examine()
    click.echo(text)
    if not healthy:
        raise click.exceptions.Exit(2)


if __name__ == "__main__":
    main()
