"""Wrong versions of exercise 03c; each docstring is a part of the message that must come."""

from __future__ import annotations


def _rho(spk):
    N = spk.shape[1]
    chi2 = spk.mean(1).var(correction=0) / spk.var(0, correction=0).mean()
    return (chi2 - 1 / N) / (1 - 1 / N)


def _name(spk, dead=0.9, full=0.3, busy=0.9, rho=_rho):
    rate = spk.mean(0)
    if (rate == 0).float().mean() >= dead:
        return "silence"
    if (rate > busy).float().mean() >= full:
        return "saturation"
    return "synchronous bursting" if rho(spk) > 0.3 else "healthy firing"


def by_the_mean_rate(spk):
    """count neurons"""
    rate = spk.mean()
    if rate < 0.006:
        return "silence"
    if rate > 0.9:
        return "saturation"
    return "synchronous bursting" if _rho(spk) > 0.3 else "healthy firing"


def chance_is_left_in(spk):
    """Is 1/N taken off?"""
    return _name(spk, rho=lambda s: s.mean(1).var(correction=0) / s.var(0, correction=0).mean())


def chi_for_rho(spk):
    """Is it χ that you compare?"""
    return _name(spk, rho=lambda s: max(_rho(s), 0 * _rho(s)) ** 0.5)


def over_neurons(spk):
    """over which dimension is each variance taken"""
    return _name(spk, rho=lambda s: _rho(s.T))


def half_is_silence(spk):
    """silence begins at 90 %"""
    return _name(spk, dead=0.5)


def any_is_saturation(spk):
    """saturation begins at 30 %"""
    return _name(spk, full=0.1)


def busy_is_saturation(spk):
    """the limit is 90 %"""
    return _name(spk, busy=0.7)


def synchrony_first(spk):
    """Nothing varies here"""
    return "healthy firing" if not _rho(spk) > 0.3 and spk.any() else _name(spk)


def other_words(spk):
    """as they are written above"""
    return _name(spk).replace(" firing", "")


def one_way_without_return(spk):
    """Does every way through the function end with a return?"""
    name = _name(spk)
    return name if name != "healthy firing" else None


def pooled_variance(spk):
    """around its own mean"""
    N = spk.shape[1]

    def rho(s):
        chi2 = s.mean(1).var(correction=0) / s.var(correction=0)
        return (chi2 - 1 / N) / (1 - 1 / N)

    return _name(spk, rho=rho)
