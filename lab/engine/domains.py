"""Which domain a text comes from, as far as its words say: the probability of each domain given the text, for a mix of domain experts.

DEMix (Gururangan et al. 2021, https://arxiv.org/abs/2108.05036) takes p(domain | text) by Bayes' rule from how likely each expert finds the text's own words,
p(text | domain). The experts here are trained on labels alone and say nothing of how likely a text is, so that part is an estimate of its own: each domain is a
Gaussian over the untouched base's mean features of a text, all with one covariance (linear discriminant analysis), fitted on training texts:

    p(d | x) ∝ p(d) · p(f(x) | d)^t,   f(x) ~ N(m_d, S)

S is shrunk towards its diagonal's mean, for there are hardly more texts than features. So many features count the same evidence many times over, which makes
the Gaussian far too sure of itself: the power t is set on training texts that were kept out of the fit. No label, validation or test text is used.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

SHRUNK = 0.2  # of the covariance, towards its mean diagonal
POWERS = tuple(2.0 ** -(step / 2) for step in range(21))  # 1 … 0.001
DECAY = 0.9  # how much less a text counts than the one after it, where earlier texts are the prior
DOUBT = 0.02  # each domain's share of the prior that no earlier text takes away


@dataclass(frozen=True)
class Domains:
    """The fitted estimate. All in float64: sums over hundreds of features."""

    means: torch.Tensor  # (domains, width)
    precision: torch.Tensor  # (width, width)
    power: float

    def evidence(self, features: torch.Tensor) -> torch.Tensor:
        """(texts, domains): t · log p(f | d), up to a constant of each text."""
        apart = features.double().unsqueeze(1) - self.means
        return -0.5 * self.power * torch.einsum("tdw,wv,tdv->td", apart, self.precision, apart)

    def posterior(self, features: torch.Tensor, prior: str = "uniform") -> torch.Tensor:
        """(texts, domains), each row a distribution. With the prior `earlier` the texts are read as a stream, in their order."""
        evidence = self.evidence(features)
        return evidence.softmax(1) if prior == "uniform" else stream(evidence)


def fit(features: torch.Tensor, domains: torch.Tensor, kept_out: torch.Tensor, theirs: torch.Tensor) -> Domains:
    """From features of training texts and the number of each one's domain; `kept_out` are others, to set the power with."""
    features = features.double()
    means = torch.stack([features[domains == domain].mean(0) for domain in range(int(domains.max()) + 1)])
    within = features - means[domains]
    covariance = within.T @ within / (len(features) - len(means))
    even = torch.eye(len(covariance), dtype=torch.float64) * covariance.diagonal().mean()
    precision = torch.linalg.inv((1 - SHRUNK) * covariance + SHRUNK * even)
    plain = Domains(means, precision, 1.0)
    evidence = plain.evidence(kept_out)
    losses = [float(torch.nn.functional.cross_entropy(power * evidence, theirs)) for power in POWERS]
    return Domains(means, precision, POWERS[losses.index(min(losses))])


def stream(evidence: torch.Tensor) -> torch.Tensor:
    """(texts, domains): what is believed before a text is what earlier texts were found to be, the latest most of all."""
    domains = evidence.shape[1]
    seen, found = torch.zeros(domains, dtype=evidence.dtype), []
    for line in evidence:
        prior = torch.full_like(seen, 1 / domains) if not found else DOUBT + (1 - domains * DOUBT) * seen / seen.sum()
        found.append((line + prior.log()).softmax(0))
        seen = DECAY * seen + found[-1]
    return torch.stack(found)


def mixed(scores: Sequence[torch.Tensor], shares: torch.Tensor) -> torch.Tensor:
    """(texts, answers) log-probabilities of the mix: Σ_d share_d · p_d(answer). `scores`: (texts, answers) log-probabilities of each expert; `shares`:
    (texts, experts), or (experts,) where they are the same for all texts."""
    experts = torch.stack(list(scores), 1).double()  # (texts, experts, answers)
    return (experts + shares.double().log().expand(experts.shape[:2]).unsqueeze(-1)).logsumexp(1)
