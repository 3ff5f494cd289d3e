"""`dagster`, by the clock that a test moves."""

from trading_pipeline_tests.week.moving_clock import MovingClock, install

install(MovingClock.of_environment())

from dagster._cli import main  # noqa: E402

if __name__ == "__main__":
    main()
