// Launches: blocks one after another, threads of a block as contexts on stacks of their own.

#include "kernels.cu"

#include <algorithm>
#include <csetjmp>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <ucontext.h>
#include <vector>

namespace emulation {

constexpr uint32_t MOST_THREADS = 1024, WARP = 32;
constexpr size_t STACK = 128 * 1024;

Index block_index, block_dim;
unsigned char *dynamic_shared;

namespace {

/// Threads that wait for one another.
struct Barrier {
	uint32_t members = 0, arrived = 0;
	uint64_t round = 0;

	void open() {
		arrived = 0;
		round++;
	}
	/// A member ended: perhaps all others were waiting for it.
	void leave() {
		members--;
		if (members > 0 && arrived == members) open();
	}
};

struct Thread {
	ucontext_t begin;
	jmp_buf at;
	/// Allocated when the thread is first needed; it lives on from block to block.
	std::unique_ptr<unsigned char[]> stack;
	bool begun, ended;
	/// The barrier it waits at, and the round that it waits to end.
	Barrier *barrier;
	uint64_t round;
};

struct Entry {
	uint32_t threads;
	size_t size;
	void (*run)(const void *);
};

std::map<std::string, Entry> &kernels() {
	static std::map<std::string, Entry> all;
	return all;
}

Thread threads[MOST_THREADS];
Barrier block, warps[MOST_THREADS / WARP];
Shown shown_by[MOST_THREADS / WARP][2];
uint32_t current;
jmp_buf scheduler;
void (*body)(const void *);
const void *arguments;

void wait_at(Barrier &barrier) {
	if (++barrier.arrived == barrier.members) {
		barrier.open();
		return;
	}
	Thread &self = threads[current];
	self.barrier = &barrier;
	self.round = barrier.round;
	if (_setjmp(self.at) == 0) _longjmp(scheduler, 1);
}

/// A thread's life: the kernel, block after block.
void live() {
	for (;;) {
		body(arguments);
		Thread &self = threads[current];
		self.ended = true;
		warps[current / WARP].leave();
		block.leave();
		if (_setjmp(self.at) == 0) _longjmp(scheduler, 1);
	}
}

/// Lets a thread run until it waits or ends. A function of its own: what its caller holds in registers must survive the
/// jump back.
__attribute__((noinline)) void resume(Thread &thread) {
	if (_setjmp(scheduler) != 0) return;
	if (thread.begun) _longjmp(thread.at, 1);
	thread.begun = true;
	setcontext(&thread.begin);
}

/// A thread's stack and first step.
__attribute__((noinline)) void create(Thread &thread) {
	thread.stack.reset(new unsigned char[STACK]);
	getcontext(&thread.begin);
	thread.begin.uc_stack.ss_sp = thread.stack.get();
	thread.begin.uc_stack.ss_size = STACK;
	thread.begin.uc_link = nullptr;
	makecontext(&thread.begin, live, 0);
	thread.begun = false;
}

/// False if threads wait for ones that wait elsewhere.
bool run_block(const std::vector<uint32_t> &order) {
	uint32_t left = uint32_t(order.size());
	block = Barrier{left, 0, 0};
	for (uint32_t t : order) {
		Thread &thread = threads[t];
		warps[t / WARP] = Barrier{WARP, 0, 0};
		thread.ended = false;
		thread.barrier = nullptr;
		if (!thread.stack) create(thread);
	}
	for (bool moved = true; left > 0;) {
		if (!moved) {
			// Those that wait will never go on: others take their places.
			for (Thread &thread : threads) thread.stack.reset();
			return false;
		}
		moved = false;
		for (uint32_t t : order) {
			Thread &thread = threads[t];
			if (thread.ended || (thread.barrier && thread.barrier->round == thread.round)) continue;
			thread.barrier = nullptr;
			current = t;
			resume(thread);
			left -= thread.ended;
			moved = true;
		}
	}
	return true;
}

} // namespace

uint32_t thread() { return current; }
void wait_for_block() { wait_at(block); }
void wait_for_warp() { wait_at(warps[current / WARP]); }
Shown &shown() { return shown_by[current / WARP][warps[current / WARP].round % 2]; }

Kernel::Kernel(const char *name, uint32_t threads, size_t size, void (*run)(const void *)) {
	kernels()[name] = Entry{threads, size, run};
}

} // namespace emulation

/// Runs a kernel. `order` is a seed for the order of threads, 0 the ascending one. What can be wrong: 1 no such kernel,
/// 2 arguments of another size, 3 more threads than it was compiled for, 4 threads that wait forever.
extern "C" int emulated_launch(const char *name, const uint32_t grid[3], uint32_t count, uint32_t shared, const void *args, size_t size, uint64_t order) {
	using namespace emulation;
	static std::mutex one_at_a_time;
	std::lock_guard<std::mutex> lock(one_at_a_time);
	auto found = kernels().find(name);
	if (found == kernels().end()) return 1;
	if (found->second.size != size) return 2;
	if (count > found->second.threads || count > MOST_THREADS || count % WARP != 0) return 3;
	body = found->second.run;
	arguments = args;
	block_dim = Index{count, 1, 1};
	std::vector<uint32_t> turns(count);
	for (uint32_t i = 0; i < count; i++) turns[i] = i;
	std::mt19937_64 random(order);
	std::vector<uint64_t> memory(shared / 8 + 2);
	dynamic_shared = reinterpret_cast<unsigned char *>((reinterpret_cast<uintptr_t>(memory.data()) + 15) & ~uintptr_t(15));
	for (uint32_t z = 0; z < grid[2]; z++)
		for (uint32_t y = 0; y < grid[1]; y++)
			for (uint32_t x = 0; x < grid[0]; x++) {
				block_index = Index{x, y, z};
				if (order != 0) std::shuffle(turns.begin(), turns.end(), random);
				// What a block finds in shared memory is what others left: here, NaN.
				std::fill(memory.begin(), memory.end(), ~uint64_t(0));
				if (!run_block(turns)) return 4;
			}
	return 0;
}
