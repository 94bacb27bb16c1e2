"""Wrong versions of exercise 09d; each docstring is a part of the message that must come."""

from __future__ import annotations


def _accuracy(net, x, y):
    return (net(x) == y).float().mean().item()


def _best(nets, x, y):
    found = [_accuracy(net, x, y) for net in nets]
    return found.index(max(found)), max(found)


def as_it_was_given(nets, x_train, y_train, x_test, y_test, n_val):
    """The best of 30 is lucky on the images that chose it"""
    return _best(nets, x_test[:n_val], y_test[:n_val])


def only_the_split_is_mended(nets, x_train, y_train, x_test, y_test, n_val):
    """The best of 30 is lucky on the images that chose it"""
    return _best(nets, x_train[-n_val:], y_train[-n_val:])


def only_the_report_is_mended(nets, x_train, y_train, x_test, y_test, n_val):
    """the one that knows the test images was chosen"""
    best, _ = _best(nets, x_test[:n_val], y_test[:n_val])
    return best, _accuracy(nets[best], x_test[n_val:], y_test[n_val:])


def training_images_choose(nets, x_train, y_train, x_test, y_test, n_val):
    """the one that knows the images it was trained on was chosen"""
    best, _ = _best(nets, x_train[:n_val], y_train[:n_val])
    return best, _accuracy(nets[best], x_test, y_test)


def all_nets_are_tested(nets, x_train, y_train, x_test, y_test, n_val):
    """was not chosen, and was shown 200 test images"""
    best, _ = _best(nets, x_train[-n_val:], y_train[-n_val:])
    return best, [_accuracy(net, x_test, y_test) for net in nets][best]


def part_of_the_test_images(nets, x_train, y_train, x_test, y_test, n_val):
    """was shown 100 test images, expected each of the 200"""
    best, _ = _best(nets, x_train[-n_val:], y_train[-n_val:])
    return best, _accuracy(nets[best], x_test[:n_val], y_test[:n_val])
