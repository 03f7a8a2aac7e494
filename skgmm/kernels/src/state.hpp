// The state of EM in one call: a mixture, and the sums of a pass.

#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "climb.hpp"

// Largest squared distance of a tied mean from the centre: see forms/tied.py.
constexpr double FAR = 1e6;
constexpr double LOG_2PI = 1.8378770664093454836;

inline std::size_t square(int d) { return std::size_t(d) * d; }

// A mixture, and room for the sums of a pass.
class State {
 public:
  State(Form form, const Parameters& p, const Regularisation& r, const Total& t)
      : form_(form), k_(p.n_components), d_(p.n_features), regularisation_(r), total_(t),
        weights_(p.weights, p.weights + k_), means_(p.means, p.means + std::size_t(k_) * d_),
        values_(p.values, p.values + size()), whiteners_(size()), log_determinants_(k_),
        coefficients_(k_), centre_(d_), count_(k_), first_(std::size_t(k_) * d_),
        second_(size()), room_(2 * std::size_t(d_)) {}

  // Factorise the covariances; false if one is not positive definite.
  bool factorise() {
    const bool matrices = form_ == FULL || form_ == TIED;
    const int n = form_ == TIED ? 1 : k_;
    for (int c = 0; c < n; ++c) {
      double logs = 0;
      const int own = matrices ? d_ * d_ : form_ == DIAG ? d_ : 1;
      const double* from = values_.data() + std::size_t(c) * own;
      double* to = whiteners_.data() + std::size_t(c) * own;
      if (matrices) {
        if (!whiten(from, d_, to, room_.data())) return false;
      } else {
        for (int i = 0; i < own; ++i) {
          if (!(from[i] > 0) || !std::isfinite(from[i])) return false;
          to[i] = 1 / std::sqrt(from[i]);
        }
      }
      for (int i = 0; i < (matrices ? d_ : own); ++i)
        logs += std::log(to[matrices ? std::size_t(i) * d_ + i : i]);
      log_determinants_[c] = -2 * logs * (form_ == SPHERICAL ? d_ : 1);
    }
    for (int c = n; c < k_; ++c) log_determinants_[c] = log_determinants_[0];
    return form_ != TIED || means_are_near();
  }

  // The E-step and its sums; returns the penalised log-likelihood, NaN if memory is short.
  double expectation(Pass pass, const Rows& rows) {
    std::fill(count_.begin(), count_.end(), 0.0);
    std::fill(first_.begin(), first_.end(), 0.0);
    std::fill(second_.begin(), second_.end(), 0.0);
    for (int c = 0; c < k_; ++c)
      coefficients_[c] = std::log(weights_[c]) - 0.5 * (d_ * LOG_2PI + log_determinants_[c]);
    for (int j = 0; j < d_; ++j) {
      centre_[j] = 0;
      for (int c = 0; c < k_; ++c) centre_[j] += means_[std::size_t(c) * d_ + j] / k_;
    }
    const Model model = {k_,           d_, means_.data(), whiteners_.data(), coefficients_.data(),
                         centre_.data()};
    double log_likelihood = 0;
    const Sums sums = {count_.data(), first_.data(), form_ == TIED ? nullptr : second_.data(),
                       &log_likelihood};
    if (!pass(rows, model, sums)) return std::numeric_limits<double>::quiet_NaN();
    return log_likelihood + log_penalty();
  }

  // The M-step: what maximises the expected likelihood of the last pass.
  void maximisation() {
    if (form_ == TIED) second_from_total();
    double all = 0;
    for (int c = 0; c < k_; ++c) all += count_[c];
    for (int c = 0; c < k_; ++c) {
      double* shift = first_.data() + std::size_t(c) * d_;
      for (int j = 0; j < d_; ++j) shift[j] = count_[c] > 0 ? shift[j] / count_[c] : 0;
    }
    switch (form_) {
      case FULL: full(); break;
      case TIED: tied(all); break;
      case DIAG: diag(); break;
      default: spherical();
    }
    for (int c = 0; c < k_; ++c) {
      weights_[c] = count_[c] / all;
      for (int j = 0; j < d_; ++j) means_[index(c, j)] += first_[index(c, j)];
    }
  }

  // The M-step of moments about the means, which came as the parameters.
  void maximise_moments() {
    count_ = weights_;
    second_ = values_;
    std::fill(first_.begin(), first_.end(), 0.0);
    maximisation();
  }

  // The mixture, to be changed; `factorise` it then.
  Form form() const { return form_; }
  int n_components() const { return k_; }
  int n_features() const { return d_; }
  std::vector<double>& weights() { return weights_; }
  std::vector<double>& means() { return means_; }
  std::vector<double>& values() { return values_; }
  const std::vector<double>& weights() const { return weights_; }
  const std::vector<double>& means() const { return means_; }
  const std::vector<double>& whiteners() const { return whiteners_; }

  void write(const Parameters& p) const {
    std::copy(weights_.begin(), weights_.end(), p.weights);
    std::copy(means_.begin(), means_.end(), p.means);
    std::copy(values_.begin(), values_.end(), p.values);
  }

 private:
  std::size_t size() const {
    switch (form_) {
      case FULL: return k_ * square(d_);
      case TIED: return square(d_);
      case DIAG: return std::size_t(k_) * d_;
      default: return k_;
    }
  }

  std::size_t index(int c, int j) const { return std::size_t(c) * d_ + j; }

  bool means_are_near() const {
    for (int c = 0; c < k_; ++c) {
      double distance = 0;
      for (int i = 0; i < d_; ++i) {
        double y = 0;
        for (int j = 0; j <= i; ++j) y += whiteners_[index(i, j)] * means_[index(c, j)];
        distance += y * y;
      }
      if (!(distance <= FAR)) return false;
    }
    return true;
  }

  // -size/2 sum_k (log|C_k / V| + tr(V / C_k) - D): see _regularisation.py.
  double log_penalty() const {
    const double size = regularisation_.size;
    if (size == 0) return 0;
    const double* variance = regularisation_.variance;
    double logs = 0, sum = 0;
    for (int j = 0; j < d_; ++j) logs += std::log(variance[j]);
    for (int c = 0; c < k_; ++c) {
      sum += log_determinants_[c] - logs - d_;
      const int own = form_ == TIED ? 0 : c;
      for (int i = 0; i < d_; ++i)
        switch (form_) {
          case DIAG: sum += variance[i] * std::pow(whiteners_[index(c, i)], 2); break;
          case SPHERICAL: sum += variance[i] * std::pow(whiteners_[c], 2); break;
          default:
            for (int j = 0; j <= i; ++j)
              sum += variance[j] *
                     std::pow(whiteners_[own * square(d_) + std::size_t(i) * d_ + j], 2);
        }
    }
    return -0.5 * size * sum;
  }

  // What is added to a scatter of a count, and what the scatter is divided by.
  double extra(double count, int j) const {
    return regularisation_.size * regularisation_.variance[j] +
           count * regularisation_.held[j];
  }
  double divisor(double count) const {
    const double size = regularisation_.size;
    return size > 0 ? count + size : std::max(count, std::numeric_limits<double>::min());
  }

  void full() {
    for (int c = 0; c < k_; ++c) {
      const double* shift = first_.data() + index(c, 0);
      double* value = values_.data() + c * square(d_);
      const double* second = second_.data() + c * square(d_);
      for (int i = 0; i < d_; ++i)
        for (int j = 0; j <= i; ++j) {
          double scatter = second[i * d_ + j] - count_[c] * shift[i] * shift[j];
          if (i == j) scatter += extra(count_[c], i);
          const double ridge = i == j ? regularisation_.ridge[i] : 0;
          value[i * d_ + j] = value[j * d_ + i] = scatter / divisor(count_[c]) + ridge;
        }
    }
  }

  void second_from_total() {
    std::copy(total_.scatter, total_.scatter + square(d_), second_.begin());
    for (int c = 0; c < k_; ++c)
      for (int i = 0; i < d_; ++i)
        for (int j = 0; j <= i; ++j) {
          const double from = means_[index(c, i)] - total_.mean[i];
          const double to = means_[index(c, j)] - total_.mean[j];
          second_[i * d_ + j] -= from * first_[index(c, j)] + to * first_[index(c, i)] +
                                 count_[c] * from * to;
        }
  }

  void tied(double all) {
    double divided_by = 0;
    for (int c = 0; c < k_; ++c)
      divided_by += regularisation_.size > 0 ? count_[c] + regularisation_.size
                                             : divisor(count_[c]);
    for (int i = 0; i < d_; ++i)
      for (int j = 0; j <= i; ++j) {
        double scatter = second_[i * d_ + j];
        for (int c = 0; c < k_; ++c)
          scatter -= count_[c] * first_[index(c, i)] * first_[index(c, j)];
        if (i == j)
          scatter += k_ * regularisation_.size * regularisation_.variance[i] +
                     all * regularisation_.held[i];
        const double ridge = i == j ? regularisation_.ridge[i] : 0;
        values_[i * d_ + j] = values_[j * d_ + i] = scatter / divided_by + ridge;
      }
  }

  void diag() {
    for (int c = 0; c < k_; ++c)
      for (int j = 0; j < d_; ++j) {
        const double shift = first_[index(c, j)];
        const double scatter = second_[index(c, j)] - count_[c] * shift * shift;
        values_[index(c, j)] = (scatter + extra(count_[c], j)) / divisor(count_[c]) +
                               regularisation_.ridge[j];
      }
  }

  // Second moments are means over the features.
  void spherical() {
    for (int c = 0; c < k_; ++c) {
      double added = 0, ridge = 0, moved = 0;
      for (int j = 0; j < d_; ++j) {
        const double shift = first_[index(c, j)];
        moved += shift * shift;
        added += extra(count_[c], j);
        ridge += regularisation_.ridge[j];
      }
      const double scatter = second_[c] - count_[c] * moved / d_ + added / d_;
      values_[c] = scatter / divisor(count_[c]) + ridge / d_;
    }
  }

  Form form_;
  int k_, d_;
  Regularisation regularisation_;
  Total total_;
  std::vector<double> weights_, means_, values_, whiteners_, log_determinants_;
  std::vector<double> coefficients_, centre_, count_, first_, second_, room_;
};
