"""Which scoring belongs to a bundle? That of its pipeline's package, where it has a module `scoring`, else the table's.

A bundle's manifest names its pipeline and that one's config its package: so the core imports no vertical by name.
"""

from pathlib import Path
from typing import Protocol, cast

from lepton_solutions import bundle
from lepton_solutions.errors import UserError
from lepton_solutions.places import module_of, pipelines


class Score(Protocol):
    """`score` of a pipeline's module `scoring`: from the input at a path to the output; what was done, in a sentence.

    dicom: write objects for a hospital's archive instead of a table.
    """

    def __call__(self, folder: Path, path: Path, output: str, *, dicom: bool) -> str: ...


def predict(path: Path, given: str, output: str, *, encoding: str | None = None, dicom: bool = False) -> str:
    """Score what is given with the bundle at a path; what was done, in a sentence.

    given: a file of rows or `-`, or what the pipeline reads, such as a folder of images. encoding: of a text file.
    Raises UserError where an option does not fit the bundle.
    """
    folder = bundle.find(path)
    pipeline = bundle.verify(folder)
    score = _score_of(pipeline)
    if score is None:
        from lepton_solutions.deploy.scoring import score_file

        if dicom:
            raise UserError(f"--dicom: {path} is a bundle of `{pipeline}`, which reads rows of a table")
        return score_file(folder, given, output, encoding=encoding)
    if encoding is not None:
        raise UserError(f"--encoding: {path} is a bundle of `{pipeline}`, which reads no text")
    return score(folder, Path(given).expanduser(), output, dicom=dicom)


def _score_of(pipeline: str) -> Score | None:
    module = module_of(pipeline, "scoring") if pipeline in pipelines() else None
    return None if module is None else cast(Score, module.score)
