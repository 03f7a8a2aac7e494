// The state of EM in one call: a mixture, and the sums of a pass.

#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "climb.hpp"
#include "matrices.hpp"
#include "partition.hpp"
#include "parts.hpp"

// Largest squared distance of a tied mean from the centre: see forms/tied.py.
constexpr double FAR = 1e6;
// The same in single precision, and the largest entry of a whitener there.
constexpr double FAR_SINGLE = 1e3, LARGEST_SINGLE = 4096;
constexpr double LOG_2PI = 1.8378770664093454836;

// A mixture, and room for the sums of a pass.
class State {
 public:
  State(const Family& family, const Parameters& p, const Regularisation& r, bool has_noise)
      : family_(family), form_(family.form()), k_(p.n_components), d_(p.n_features),
        has_noise_(has_noise), regularisation_(r), weights_(p.weights, p.weights + k_), means_(p.means, p.means + std::size_t(k_) * d_), values_(p.values, p.values + size()),
        whiteners_(size()), log_determinants_(k_), coefficients_(k_), centre_(d_), count_(k_),
        first_(std::size_t(k_) * d_), second_(size()), room_(2 * std::size_t(d_)) {
    for (int j = 0; j < d_; ++j)
      if (!(r.held[j] > 0)) varying_.push_back(j);
    set_shares(p.weights);
  }

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

  // The E-step and its sums; returns the penalised log-likelihood, NaN if memory is short
  // or what is observed of some rows has a covariance without a factor.
  double expectation(const Data& data) {
    std::fill(count_.begin(), count_.end(), 0.0);
    std::fill(first_.begin(), first_.end(), 0.0);
    std::fill(second_.begin(), second_.end(), 0.0);
    const double complete = of_complete_rows(data);
    return complete + of_rows_with_holes(data) + log_penalty();
  }

  // The M-step: what maximises the expected likelihood of the last pass.  Covariances that
  // cannot be estimated have no factor then.
  void maximisation() {
    double all = 0;
    for (int c = 0; c < k_; ++c) all += count_[c];
    if (has_noise_) noise_ = mass_ / (all + mass_);
    for (int c = 0; c < k_; ++c)
      for (int j = 0; j < d_; ++j) {
        double& shift = first_[index(c, j)];
        shift = count_[c] > 0 ? shift / count_[c] : 0;
      }
    about_means();
    for (int c = 0; c < k_; ++c) {
      weights_[c] = family_.equal_weights ? 1.0 / k_ : count_[c] / all;
      for (int j = 0; j < d_; ++j) means_[index(c, j)] += first_[index(c, j)];
      const double size = regularisation_.size;
      count_[c] = size > 0 ? count_[c] + size
                           : std::max(count_[c], std::numeric_limits<double>::min());
    }
    estimate(count_, second_, values_);
  }

  // Take the covariances of the family that are nearest; `near` are some not far away.
  void project(const State& near) {
    if (family_.fills_form()) return;
    second_ = values_;
    add_ridge(second_, -1);
    for (std::size_t i = 0; i < second_.size(); ++i) second_[i] *= weights_[i / own()];
    estimate(weights_, second_, near.values_);
  }

  // The M-step of moments about the means, which came as the parameters.
  void maximise_moments(const double* counts) {
    count_.assign(counts, counts + k_);
    if (has_noise_) mass_ = counts[k_];
    second_ = values_;
    std::fill(first_.begin(), first_.end(), 0.0);
    values_.clear();
    maximisation();
  }

  // The mixture, to be changed; `factorise` it then, or `project` it first.
  Form form() const { return form_; }
  int n_components() const { return k_; }
  int n_features() const { return d_; }
  // Weights of all parts: noise, if there is any, is the last one.
  int n_parts() const { return k_ + has_noise_; }
  double share(int c) const { return c == k_ ? noise_ : (1 - noise_) * weights_[c]; }
  void set_shares(const double* shares) {
    if (has_noise_) noise_ = shares[k_];
    for (int c = 0; c < k_; ++c) weights_[c] = shares[c] / (1 - noise_);
  }
  Vector& means() { return means_; }
  Vector& values() { return values_; }
  const Vector& means() const { return means_; }
  const Vector& whiteners() const { return whiteners_; }

  void write(const Parameters& p) const {
    for (int c = 0; c < n_parts(); ++c) p.weights[c] = share(c);
    std::copy(means_.begin(), means_.end(), p.means);
    std::copy(values_.begin(), values_.end(), p.values);
  }

 private:
  // How many matrices, or sets of variances, there are, and of how many numbers each.
  int n_matrices() const { return form_ == TIED ? 1 : k_; }
  std::size_t own() const {
    return form_ == SPHERICAL ? 1 : form_ == DIAG ? std::size_t(d_) : square(d_);
  }
  std::size_t size() const { return n_matrices() * own(); }
  bool has_matrices() const { return form_ == FULL || form_ == TIED; }
  int n_variances() const { return form_ == SPHERICAL ? 1 : d_; }
  // Where a variance is.
  std::size_t variance(int c, int i) const {
    return c * own() + (has_matrices() ? std::size_t(i) * d_ + i : i);
  }

  std::size_t index(int c, int j) const { return std::size_t(c) * d_ + j; }

  // Add the sums of the complete rows; returns their log-likelihood.
  double of_complete_rows(const Data& data) {
    if (!data.rows.n_rows) return 0;
    for (int c = 0; c < k_; ++c)
      coefficients_[c] = std::log(weights_[c]) - 0.5 * (d_ * LOG_2PI + log_determinants_[c]);
    for (int j = 0; j < d_; ++j) {
      centre_[j] = 0;
      for (int c = 0; c < k_; ++c) centre_[j] += means_[std::size_t(c) * d_ + j] / k_;
    }
    const Model model = {k_,           d_, means_.data(), whiteners_.data(), coefficients_.data(),
                         centre_.data()};
    if (data.has_noise) return of_noisy_rows(data, model);
    return of_pass(data, data.rows, model, data.total);
  }

  // The same for given rows, of which the total is known.
  double of_pass(const Data& data, const Rows& rows, const Model& model, const Total& total) {
    const bool single = data.single_pass && suits_single();
    const int n_parts = parts_of(rows.n_rows, k_, d_);
    const auto add = [&](int part, const Sums& sums) {
      const auto [begin, end] = range_of(part, n_parts, rows.n_rows);
      return single ? data.single_pass(between(data.panels, d_, begin, end), model, sums)
                    : data.pass(between(rows, begin, end), model, sums);
    };
    const double log_likelihood =
        of_parts(data.crew, n_parts, form_ == TIED ? nullptr : &second_, add);
    if (form_ == TIED) second_from_total(total);
    return log_likelihood;
  }

  // Add the sums of parts of some rows, in order; returns their log-likelihood, NaN if
  // add(part, sums) is false for one.
  template <typename Add>
  double of_parts(Crew* crew, int n_parts, Vector* second, const Add& add) {
    const std::size_t n_second = second ? second->size() : 0, n_first = first_.size();
    const std::size_t n_sums = k_ + n_first + n_second + 1;
    Vector all(n_parts * n_sums);
    std::atomic<bool> good{true};
    for_each_part(crew, n_parts, [&](int part) {
      double *count = all.data() + part * n_sums, *first = count + k_, *rest = first + n_first;
      if (!add(part, Sums{count, first, second ? rest : nullptr, rest + n_second}))
        good.store(false, std::memory_order_relaxed);
    });
    if (!good) return std::numeric_limits<double>::quiet_NaN();
    double log_likelihood = 0;
    for (auto from = all.cbegin(); from != all.cend(); ++from) {
      for (double& sum : count_) sum += *from++;
      for (double& sum : first_) sum += *from++;
      for (std::size_t i = 0; i < n_second; ++i) (*second)[i] += *from++;
      log_likelihood += *from;
    }
    return log_likelihood;
  }

  // The same beside noise, which to the Gaussians is a matter of weights: see _noise.py.
  double of_noisy_rows(const Data& data, const Model& model) {
    const std::size_t n = data.rows.n_rows;
    Vector densities(n), left(n);
    if (!data.densities(data.rows, model, {densities.data(), nullptr, nullptr}))
      return std::numeric_limits<double>::quiet_NaN();
    const double log_rest = std::log1p(-noise_), noise = std::log(noise_) + data.log_noise;
    double log_likelihood = 0, all = 0;
    mass_ = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double gaussian = densities[i] + log_rest, largest = std::max(gaussian, noise);
      const double total = largest + std::log1p(std::exp(std::min(gaussian, noise) - largest));
      const double weight = data.rows.weight[i * data.rows.weight_stride];
      all += left[i] = weight * std::exp(gaussian - total);
      mass_ += weight * std::exp(noise - total);
      log_likelihood += weight * total;
    }
    if (!(all > 0)) return std::numeric_limits<double>::quiet_NaN();
    Rows rows = data.rows;
    rows.weight = left.data();
    rows.weight_stride = 1;
    Vector count(1), mean(d_), scatter(form_ == TIED ? square(d_) : 0);
    if (form_ == TIED) {
      const std::vector<int64_t> labels(n);
      class_moments(TIED, rows, labels.data(), 1, count.data(), mean.data(), scatter.data());
    }
    of_pass(data, rows, model, {mean.data(), scatter.data()});
    return log_likelihood;
  }

  // Add the sums of the rows with holes; returns their log-likelihood.
  double of_rows_with_holes(const Data& data) {
    if (!data.with_holes.n_rows) return 0;
    const std::size_t general = has_matrices() ? square(d_) : d_;
    Vector spread(k_ * general), log_weights(k_), second(k_ * general);
    for (std::size_t i = 0; i < spread.size(); ++i)
      spread[i] = values_[form_ == SPHERICAL ? i / d_ : i % size()];
    for (int c = 0; c < k_; ++c) log_weights[c] = std::log(weights_[c]);
    const Model model = {k_, d_, means_.data(), spread.data(), log_weights.data(), nullptr};
    const int n_parts = parts_of(data.with_holes.n_rows, k_, d_);
    const std::vector<PartOfHoles> holes = parts_of(data.holes, data.with_holes.n_rows, n_parts);
    const auto add = [&](int part, const Sums& sums) {
      const auto [begin, end] = range_of(part, n_parts, data.with_holes.n_rows);
      const Rows rows = between(data.with_holes, begin, end);
      return data.pass_with_holes(rows, model, holes[part].view(data.holes, d_), sums) == DONE;
    };
    const double log_likelihood = of_parts(data.crew, n_parts, &second, add);
    for (std::size_t i = 0; i < second.size(); ++i)
      second_[form_ == SPHERICAL ? i / d_ : i % size()] +=
          form_ == SPHERICAL ? second[i] / d_ : second[i];
    return log_likelihood;
  }

  // Whether single precision leaves distances three digits: rows and means are of size one.
  bool suits_single() const {
    for (const double entry : whiteners_)
      if (!(std::abs(entry) <= LARGEST_SINGLE)) return false;
    return form_ != TIED || means_are_near(FAR_SINGLE);
  }

  bool means_are_near(double far = FAR) const {
    for (int c = 0; c < k_; ++c) {
      double distance = 0;
      for (int i = 0; i < d_; ++i) {
        double y = 0;
        for (int j = 0; j <= i; ++j) y += whiteners_[index(i, j)] * means_[index(c, j)];
        distance += y * y;
      }
      if (!(distance <= far)) return false;
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

  void second_from_total(const Total& total) {
    std::copy(total.scatter, total.scatter + square(d_), second_.begin());
    for (int c = 0; c < k_; ++c)
      for (int i = 0; i < d_; ++i)
        for (int j = 0; j <= i; ++j) {
          const double from = means_[index(c, i)] - total.mean[i];
          const double to = means_[index(c, j)] - total.mean[j];
          second_[i * d_ + j] -= from * first_[index(c, j)] + to * first_[index(c, i)] +
                                 count_[c] * from * to;
        }
  }

  // Make second moments the scatter about the means, with the pseudo-observations.
  void about_means() {
    for (int c = 0; c < k_; ++c) {
      double* second = second_.data() + (form_ == TIED ? 0 : c * own());
      const double* shift = first_.data() + index(c, 0);
      const double size = regularisation_.size, *variance = regularisation_.variance;
      for (int i = 0; i < d_; ++i)
        switch (form_) {
          case SPHERICAL:
            second[0] += (size * variance[i] - count_[c] * shift[i] * shift[i]) / d_;
            break;
          case DIAG: second[i] += size * variance[i] - count_[c] * shift[i] * shift[i]; break;
          default:
            for (int j = 0; j <= i; ++j) second[i * d_ + j] -= count_[c] * shift[i] * shift[j];
            second[i * d_ + i] += size * variance[i];
        }
    }
    for (int c = 0; has_matrices() && c < n_matrices(); ++c)
      mirror(second_.data() + c * own(), d_);
  }

  // Make the values covariances of the family for counts and a scatter; `near` are
  // previous ones, or empty.
  void estimate(const Vector& count, const Vector& scatter, const Vector& near) {
    const Vector seen = varying(scatter);
    Vector values(seen.size()), previous = near;
    const bool warm = !near.empty();
    if (warm) {
      add_ridge(previous, -1);
      values = varying(previous);
    }
    const Scatter evidence = {k_, int(varying_.size()), count.data(), seen.data()};
    if (!varying_.empty() && !maximise(family_.code, evidence, warm, values.data()))
      std::fill(values.begin(), values.end(), std::numeric_limits<double>::quiet_NaN());
    restore(values);
    add_ridge(values_, 1);
  }

  void add_ridge(Vector& values, double sign) const {
    for (int c = 0; c < n_matrices(); ++c)
      for (int i = 0; i < d_; ++i) {
        const double ridge = sign * regularisation_.ridge[i];
        values[variance(c, form_ == SPHERICAL ? 0 : i)] += form_ == SPHERICAL ? ridge / d_ : ridge;
      }
  }

  // The part of covariances, or of a scatter, that features have which are not held.
  Vector varying(const Vector& all) const {
    if (form_ == SPHERICAL || int(varying_.size()) == d_) return all;
    Vector part;
    for (int c = 0; c < n_matrices(); ++c)
      for (int i : varying_) {
        if (form_ == DIAG) part.push_back(all[index(c, i)]);
        for (std::size_t j = 0; has_matrices() && j < varying_.size(); ++j)
          part.push_back(all[index(c, i) * d_ + varying_[j]]);
      }
    return part;
  }

  // The values of that part, and of the features that are held.
  void restore(const Vector& part) {
    if (int(varying_.size()) == d_) {
      values_ = part;
      return;
    }
    values_.assign(size(), 0.0);
    auto from = part.begin();
    for (int c = 0; c < n_matrices(); ++c) {
      for (int i = 0; i < n_variances(); ++i) values_[variance(c, i)] = regularisation_.held[i];
      for (int i : varying_) {
        if (form_ == DIAG) values_[index(c, i)] = *from++;
        for (std::size_t j = 0; has_matrices() && j < varying_.size(); ++j)
          values_[index(c, i) * d_ + varying_[j]] = *from++;
      }
    }
  }

  Family family_;
  Form form_;
  int k_, d_;
  bool has_noise_;
  double noise_ = 0, mass_ = 0;  // the weight of the noise, and of the rows that are noise
  Regularisation regularisation_;
  std::vector<int> varying_;
  Vector weights_, means_, values_, whiteners_, log_determinants_;
  Vector coefficients_, centre_, count_, first_, second_, room_;
};
