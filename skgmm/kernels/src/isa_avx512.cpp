#define SKGMM_ISA avx512
#define SKGMM_LANES 8
#include "passes.hpp"
