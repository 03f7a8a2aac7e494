// Threads that share the passes of a call, and of the next ones.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

// The thread that runs passes, and any that help it.  Passes follow each other within
// microseconds, and calls within a millisecond, so those who wait do not sleep; who has a
// core takes the next part, so that nobody waits for a helper that has none, or has not come
// yet.
class Crew {
 public:
  // Call work(context, part) for each of so many parts, in any order and thread.
  void run(int n_parts, void (*work)(const void*, int), const void* context) {
    work_ = work;
    context_ = context;
    done_.store(0, std::memory_order_relaxed);
    tickets_.store(uint64_t(++round_) << 32 | uint32_t(n_parts), std::memory_order_release);
    while (take_part()) {
    }
    for (int tries = 0; done_.load(std::memory_order_acquire) < n_parts;) wait(tries);
  }

  // How many have been called and have not left.
  int helpers() const { return helpers_.load(std::memory_order_relaxed); }

  // Call one: a thread that will `help`.
  void call() { helpers_.fetch_add(1, std::memory_order_relaxed); }

  // Take parts until there was none for so many seconds, or the crew is dismissed.
  void help(double patience) {
    typedef std::chrono::steady_clock Clock;
    const std::chrono::duration<double> limit(patience);
    auto since = Clock::now();
    for (int tries = 0; !dismissed_.load(std::memory_order_relaxed);) {
      if (take_part()) {
        tries = 0;
        since = Clock::now();
      } else {
        wait(tries);
        if (tries % 64 == 0 && Clock::now() - since > limit) break;
      }
    }
    helpers_.fetch_sub(1, std::memory_order_relaxed);
  }

  void dismiss() { dismissed_.store(true, std::memory_order_relaxed); }

 private:
  // Do a part that nobody has taken; false if there is none.  The tickets hold the number of
  // the round, so that who comes late cannot take a part of the next one unseen, and how
  // many parts are left.
  bool take_part() {
    uint64_t tickets = tickets_.load(std::memory_order_acquire);
    do {
      if (!uint32_t(tickets)) return false;
    } while (!tickets_.compare_exchange_weak(tickets, tickets - 1, std::memory_order_acq_rel,
                                             std::memory_order_acquire));
    work_(context_, int(uint32_t(tickets)) - 1);
    done_.fetch_add(1, std::memory_order_release);
    return true;
  }

  static void wait(int& tries) {
    if (++tries > 4000)
      std::this_thread::yield();
    else
#if defined(__x86_64__)
      __builtin_ia32_pause();
#elif defined(__aarch64__)
      asm volatile("yield");
#else
      tries = 4000;
#endif
  }

  std::atomic<bool> dismissed_{false};
  std::atomic<int> helpers_{0};
  std::atomic<uint64_t> tickets_{0};
  alignas(64) std::atomic<int> done_{0};  // not where those who wait look
  uint32_t round_ = 0;
  void (*work_)(const void*, int) = nullptr;
  const void* context_ = nullptr;
};
