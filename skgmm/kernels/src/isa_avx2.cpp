#define SKGMM_ISA avx2
#define SKGMM_LANES 4
#include "passes.hpp"
