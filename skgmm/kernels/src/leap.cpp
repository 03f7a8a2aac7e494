// Steps of EM by leaps, in one call: see climb.hpp.

#include <new>

#include "state.hpp"

namespace {

// As in _em.py.
constexpr double SLOWEST = 1 - 1e-4, NEAR = 0.1;
constexpr double SMALLEST_WEIGHT = 1e-8;

// Coordinates of mixtures relative to one of them: see _acceleration.py.
class Coordinates {
 public:
  explicit Coordinates(const State& base)
      : form_(base.form()), k_(base.n_components()), d_(base.n_features()),
        matrices_(form_ == FULL || form_ == TIED),
        own_(matrices_ ? d_ * d_ : form_ == DIAG ? d_ : 1), n_(form_ == TIED ? 1 : k_),
        n_parts_(base.n_parts()), roots_(n_parts_), means_(base.means()),
        whiteners_(base.whiteners()), factors_(whiteners_.size()), room_(2 * std::size_t(own_)) {
    for (int c = 0; c < n_parts_; ++c) roots_[c] = std::sqrt(base.share(c));
    if (matrices_)
      for (int c = 0; c < n_; ++c) invert(&whiteners_[at(c)], d_, &factors_[at(c)]);
  }

  // The vector of a mixture.
  Vector of(const State& state) {
    Vector vector(n_parts_ + std::size_t(k_) * d_ + whiteners_.size());
    double* to = vector.data();
    for (int c = 0; c < n_parts_; ++c) *to++ = roots_[c] * std::log(state.share(c));
    for (int c = 0; c < k_; ++c) {
      const double* white = &state.whiteners()[at(form_ == TIED ? 0 : c)];
      const double* mean = &state.means()[std::size_t(c) * d_];
      const double* origin = &means_[std::size_t(c) * d_];
      for (int i = 0; i < d_; ++i) {
        double y = 0;
        if (matrices_)
          for (int j = 0; j <= i; ++j) y += white[i * d_ + j] * (mean[j] - origin[j]);
        else
          y = white[form_ == DIAG ? i : 0] * (mean[i] - origin[i]);
        *to++ = roots_[c] * y;
      }
    }
    for (int c = 0; c < n_; ++c) {
      const double *white = &state.whiteners()[at(c)], *base = &whiteners_[at(c)];
      if (matrices_) multiply_lower(white, &factors_[at(c)], d_, room_.data());
      for (int i = 0; i < own_; ++i)
        *to++ = root(c) * (matrices_ ? room_[i] : white[i] / base[i]);
    }
    return vector;
  }

  // Make a state the mixture of a vector; false if there is none.
  bool move(State& state, const Vector& vector) {
    const double* from = vector.data();
    double largest = -std::numeric_limits<double>::infinity(), all = 0;
    for (int c = 0; c < n_parts_; ++c) largest = std::max(largest, from[c] / roots_[c]);
    Vector shares(n_parts_);
    for (int c = 0; c < n_parts_; ++c)
      all += shares[c] = std::exp(from[c] / roots_[c] - largest);
    for (double& share : shares) share /= all;
    state.set_shares(shares.data());
    const double *offsets = from + n_parts_, *relative = offsets + std::size_t(k_) * d_;
    double *white = room_.data(), *factor = white + own_;
    for (int c = 0; c < k_; ++c) {
      if (c < n_) {
        for (int i = 0; i < own_; ++i) white[i] = relative[at(c) + i] / root(c);
        for (int i = 0; i < (matrices_ ? d_ : own_); ++i)
          if (!(white[matrices_ ? i * d_ + i : i] > 0)) return false;
        if (matrices_) {
          multiply_lower(white, &whiteners_[at(c)], d_, factor);
          std::copy(factor, factor + own_, white);
          invert(white, d_, factor);
        } else {
          for (int i = 0; i < own_; ++i) factor[i] = 1 / (white[i] * whiteners_[at(c) + i]);
        }
        write(factor, &state.values()[at(c)]);
      }
      const double* offset = offsets + std::size_t(c) * d_;
      for (int i = 0; i < d_; ++i) {
        double x = 0;
        if (matrices_)
          for (int j = 0; j <= i; ++j) x += factor[i * d_ + j] * offset[j];
        else
          x = factor[form_ == DIAG ? i : 0] * offset[i];
        const std::size_t index = std::size_t(c) * d_ + i;
        state.means()[index] = means_[index] + x / roots_[c];
      }
    }
    return true;
  }

 private:
  std::size_t at(int c) const { return std::size_t(c) * own_; }
  double root(int c) const { return form_ == TIED ? 1 : roots_[c]; }

  // The covariance of a factor.
  void write(const double* factor, double* value) const {
    if (!matrices_) {
      for (int i = 0; i < own_; ++i) value[i] = factor[i] * factor[i];
      return;
    }
    for (int i = 0; i < d_; ++i)
      for (int j = 0; j <= i; ++j) {
        double sum = 0;
        for (int p = 0; p <= j; ++p) sum += factor[i * d_ + p] * factor[j * d_ + p];
        value[i * d_ + j] = value[j * d_ + i] = sum;
      }
  }

  Form form_;
  int k_, d_;
  bool matrices_;
  int own_, n_, n_parts_;
  Vector roots_, means_, whiteners_, factors_, room_;
};

double norm(const Vector& v) {
  double sum = 0;
  for (double x : v) sum += x * x;
  return std::sqrt(sum);
}

// Whether little is left to gain: from the gain of a first step and the lengths of leaps.
class Ending {
 public:
  bool near(double gain, double length, double tol) {
    lengths_[0] = lengths_[1];
    lengths_[1] = lengths_[2];
    lengths_[2] = length;
    const double longest = std::max({2.0, lengths_[0], lengths_[1], lengths_[2]});
    const double rate = std::pow(std::min(1 - 1 / longest, SLOWEST), 2);
    const double left = gain * rate / (1 - rate), before = left_;
    left_ = left;
    return std::max(left, before) <= tol;
  }

  // What is left to gain, as it was told last.
  double left() const { return left_; }

 private:
  double lengths_[3] = {0, 0, 0}, left_ = std::numeric_limits<double>::infinity();
};

// The sum of the gains that follow two gains: see _em.py.
double still_to_gain(double earlier, double later) {
  const double rate = earlier > 0 ? std::min(std::max(later / earlier, 0.0), SLOWEST) : SLOWEST;
  return later * rate / (1 - rate);
}

// A run: where it is, and what it has passed.
class Run {
 public:
  Run(const State& start, const Data& data, int n_passes, double* objectives)
      : here(start), data_(data), n_passes_(n_passes), objectives_(objectives) {}

  State here;
  bool converged = false;

  double objective() const { return objectives_[made_]; }
  int made() const { return made_; }
  bool goes_on() const { return !converged && made_ < n_passes_; }

  bool begin() {
    if (!here.factorise()) return false;
    objectives_[0] = here.expectation(data_);
    return std::isfinite(objectives_[0]);
  }

  // Go to what a step of EM gave, or converge if it is no better; false if it fails.
  bool step(const State& to) {
    State next = to;
    if (!next.factorise()) return false;
    const double objective = next.expectation(data_);
    if (!std::isfinite(objective)) return false;
    if (objective < this->objective())
      converged = true;
    else
      go(next, objective);
    return true;
  }

  // Go to where a leap leads, if that is no worse; a pass counts in any case.
  bool leap(Coordinates& coordinates, const Vector& vector) {
    State next = here;
    if (!coordinates.move(next, vector)) return false;
    next.project(here);
    if (!next.factorise()) return false;
    const double objective = next.expectation(data_);
    const bool higher = objective >= this->objective() && std::isfinite(objective);
    if (higher)
      go(next, objective);
    else
      go(here, this->objective());
    return higher;
  }

 private:
  void go(const State& next, double objective) {
    if (&next != &here) here = next;
    objectives_[++made_] = objective;
  }

  const Data& data_;
  int n_passes_, made_ = 0;
  double* objectives_;
};

State stepped(const State& from) {
  State to = from;
  to.maximisation();
  return to;
}

void climb_by_leaps(Run& run, double tol) {
  Ending ending;
  double longest = 4;  // as Pace has it
  while (run.goes_on()) {
    const State base = run.here;
    const double before = run.objective();
    if (!run.step(stepped(base)) || !run.goes_on()) return;
    const State first = run.here;
    State second = stepped(first);
    if (!second.factorise()) return;
    for (const State* state : {&base, &first, static_cast<const State*>(&second)})
      for (int c = 0; c < state->n_parts(); ++c)
        if (state->share(c) < SMALLEST_WEIGHT) return;
    Coordinates coordinates(base);
    const Vector v0 = coordinates.of(base), v1 = coordinates.of(first);
    Vector r = v1, q = coordinates.of(second);
    for (std::size_t i = 0; i < r.size(); ++i) {
      r[i] -= v0[i];
      q[i] -= v1[i] + r[i];
    }
    const double bend = norm(q), length = bend > 0 ? norm(r) / bend : 1;
    const double at_first = run.objective(), gain = at_first - before;
    const double rounding = 8 * std::numeric_limits<double>::epsilon() * std::fabs(before);
    run.converged = ending.near(gain, length, tol) || std::fabs(gain) <= rounding;
    if (run.converged) return;
    const bool near = ending.left() <= NEAR * tol;
    const double step = near ? 1.0 : std::min(std::max(1.0, length), longest);
    bool landed = step == 1;
    if (!landed) {
      Vector vector = v0;
      for (std::size_t i = 0; i < vector.size(); ++i)
        vector[i] += 2 * step * r[i] + step * step * q[i];
      landed = run.leap(coordinates, vector);
    }
    if (landed)
      longest *= step == longest ? 2 : 1;
    else
      longest = std::max(1.0, 0.5 * step);
    if (!run.goes_on()) return;
    if (!run.step(step == 1 || !landed ? second : stepped(run.here))) return;
    if (near && still_to_gain(gain, run.objective() - at_first) <= tol) run.converged = true;
  }
}

}  // namespace

int leap(const Data& data, const Family& family, const Regularisation& regularisation,
         const Parameters& parameters, int n_passes, double tol, double* objectives,
         bool* converged) {
  try {
    const State start(family, parameters, regularisation, data.has_noise);
    Run run(start, data, n_passes, objectives);
    if (!run.begin()) return -1;
    climb_by_leaps(run, tol);
    run.here.write(parameters);
    *converged = run.converged;
    return run.made();
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
