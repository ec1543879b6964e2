"""`mercurios transform`: build and test the marts, and say what is wrong in the merchants' books."""


def transform(*, from_scratch: bool) -> None:
    """Run the flow and print a line for every rule of the warehouse that a merchant's records break."""
    from mercurios.config import Settings
    from mercurios.console import Console
    from mercurios.running import run_flow
    from mercurios.summary import breach_lines

    console = Console()
    report = run_flow("transform", Settings(), console, from_scratch=from_scratch)
    for line in breach_lines(report.breaches):
        console.say(line)
