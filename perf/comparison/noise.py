"""Whether two sets of samples differ: the rank-sum test of Mann and Whitney, and Holm's correction
for many of them."""

import math

MOST_EXACT = 48  # samples of both sides together: above, the normal approximation is good enough


def ranks(values):
    """Twice the mid-rank of each value, whole numbers even where values are equal."""
    order = sorted(range(len(values)), key=values.__getitem__)
    result = [0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for i in order[begin:end]:
            result[i] = begin + end + 1
        begin = end
    return result


def rank_sum_p(a, b):
    """The probability that ranks are as uneven as these, or more so, between two sets of samples of
    one distribution; two-sided."""
    every = ranks([*a, *b])
    observed = sum(every[:len(a)])
    middle = len(a) * (len(a) + len(b) + 1)  # of doubled ranks
    distance = abs(observed - middle)
    if len(every) > MOST_EXACT:
        return normal_p(every, len(a), distance)
    counts = sums_of_subsets(every, len(a))
    extreme = sum(n for total, n in counts.items() if abs(total - middle) >= distance)
    return extreme / math.comb(len(every), len(a))


def sums_of_subsets(values, size):
    """{sum: number of subsets of `size` values with that sum}"""
    tables = [{0: 1}] + [{} for _ in range(size)]
    for value in values:
        for taken in range(size, 0, -1):
            for total, n in tables[taken - 1].items():
                tables[taken][total + value] = tables[taken].get(total + value, 0) + n
    return tables[size]


def normal_p(every, size, distance):
    """The same for many samples, from the variance of a sum drawn without putting back."""
    n = len(every)
    mean = sum(every) / n
    spread = sum((value - mean) ** 2 for value in every) / (n - 1)
    variance = size * (n - size) / n * spread
    if variance == 0.0:
        return 1.0
    return math.erfc(max(distance - 1.0, 0.0) / math.sqrt(2.0 * variance))


def least_p(n, m):
    """What rank_sum_p gives where every sample of one side is below every one of the other."""
    return min(1.0, 2.0 / math.comb(n + m, n))


def holm(p_values):
    """Adjusted so that all those below alpha are wrong together with a probability below alpha."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    result = [1.0] * len(p_values)
    least = 0.0
    for i, at in enumerate(order):
        least = max(least, min(1.0, (len(order) - i) * p_values[at]))
        result[at] = least
    return result
