"""Whether the network learns what is there, and nothing where nothing is.

    python benchmarks/learning.py [--noise 10] [--planted 1]

60 symbols, 1,500 days. Four features persist from day to day (an autoregression of 0.9). In the
planted market the next return correlates 0.05 with the first of them; in the noise it correlates
with none. The network is trained by the real training loop on the first 700 days, the last 15 % of
which are validation, and asked about the days from there on: the information coefficient of its
price head, the mean correlation across symbols. Leaves with 1 where a bar is missed.
"""

import argparse
import sys
import time

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from trading_pipeline.core.learning.samples import Samples, encode_dates
from trading_pipeline.core.learning.threads import threads_for
from trading_pipeline.core.learning.training import train_network
from trading_pipeline.core.learning.validation import information_coefficient
from trading_pipeline.core.learning.walkforward import fold_rows
from trading_pipeline.core.model.config import ModelConfig, TrainingConfig
from trading_pipeline.core.model.position import NotionalBook

DAYS, SYMBOLS, FEATURES, FIRST_TEST, HORIZON = 1500, 60, 4, 700, 1
PERSISTENCE, PLANTED, SIGMA = 0.9, 0.05, 0.02
LEAST, MOST = 0.035, 0.005  # planted: above; mean of the noise: within plus or minus

# Small, since what is planted is in the newest bar; a step sees whole cross-sections.
MODEL = ModelConfig.preset("tiny", n_features=FEATURES, n_steps=5)
TRAINING = TrainingConfig.preset("tiny", symbols=0, steps=150, warmup=15, evaluate_every=25)
FOLD = fold_rows("f", MODEL.n_steps - 1, FIRST_TEST, DAYS - HORIZON - 2, HORIZON)


def market(seed: int, correlation: float) -> Samples:
    """Features that persist, and returns of the next day that correlate with the first of them."""
    rng = np.random.default_rng(seed)
    shocks = rng.normal(size=(DAYS, SYMBOLS, FEATURES))
    features = shocks.copy()
    for day in range(1, DAYS):
        features[day] *= np.sqrt(1 - PERSISTENCE**2)
        features[day] += PERSISTENCE * features[day - 1]
    noise = rng.normal(size=(DAYS, SYMBOLS))
    target = correlation * features[:, :, 0] + np.sqrt(1 - correlation**2) * noise
    return samples_of(features, target)


def samples_of(features: NDArray[np.float64], target: NDArray[np.float64]) -> Samples:
    """`target`, decided at each day, is the return from the next open to the one after, in σ."""
    price = target - target.mean(axis=1, keepdims=True)
    moves = np.zeros_like(target)  # nights are still: the open is the close of the day before
    moves[1:] = SIGMA * target[:-1]

    def tensor(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))

    return Samples(
        grid=tensor(features),
        usable=np.ones(target.shape, bool),
        price=tensor(price),
        direction=torch.from_numpy(1 + (price > 0.43).astype(int) - (price < -0.43).astype(int)),
        next_return=tensor(SIGMA * target),
        volatility=tensor(np.abs(target)),
        risk=tensor(target < -2),
        overnight=tensor(np.zeros_like(target)),
        intraday=tensor(moves),
        sigma=tensor(np.full_like(target, SIGMA)),
        timestamps=pd.bdate_range("2015-01-01", periods=DAYS, tz="UTC"),
        symbols=tuple(f"S{n}" for n in range(SYMBOLS)),
        features=tuple(f"feature_{n}" for n in range(FEATURES)),
    )


def out_of_sample(samples: Samples, seed: int) -> float:
    """Train on the days before the fold; the information coefficient on those of the fold."""
    network, _ = train_network(samples, FOLD, MODEL, TRAINING, cost=0.001, seed=seed)
    dates = np.arange(FOLD.test.first, FOLD.test.last + 1)
    with torch.inference_mode(), threads_for(MODEL):
        encoded = encode_dates(network, samples, dates).flatten(0, 1)
        price = network.heads(encoded, NotionalBook.empty(len(encoded)).features()).price
    score = price.view(len(dates), SYMBOLS).double().numpy()
    return information_coefficient(score, samples.price[dates].double().numpy())


def measured(label: str, count: int, correlation: float) -> list[float]:
    """One figure a market, printed as they come."""
    found = []
    for seed in range(count):
        began = time.process_time()
        found.append(out_of_sample(market(seed, correlation), seed))
        seconds = time.process_time() - began
        print(f"{label} {seed}: {found[-1]:+.4f} ({seconds:.0f} s of CPU)", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planted", type=int, default=1, help="markets with something to find")
    parser.add_argument("--noise", type=int, default=10, help="markets with nothing to find")
    given = parser.parse_args()
    print(f"{len(FOLD.test)} days out of sample, {SYMBOLS} symbols")
    planted = measured("planted", given.planted, PLANTED)
    noise = float(np.mean(measured("noise", given.noise, 0.0)))
    # Fewer data sets have a wider mean: the bar is for ten.
    most = MOST * np.sqrt(10 / given.noise)
    print(f"planted: {min(planted):+.4f} at least, asked for more than {LEAST}")
    print(f"noise: {noise:+.4f} in the mean of {given.noise}, asked for within {most:.4f}")
    sys.exit(not (min(planted) > LEAST and abs(noise) <= most))


if __name__ == "__main__":
    main()
