// SPDX-License-Identifier: Apache-2.0
// The current C-core writes its log through abseil, which has no C interface. This is the one function that C needs to take
// the lines over. It is compiled into our archive of the core; common/net/rpc_compat.h declares it.
#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"

using LogFn = void (*)(int severity, const char *file, int line, const char *msg, size_t len);

namespace {
class Sink : public absl::LogSink {
 public:
  explicit Sink(LogFn fn) : fn_(fn) {}
  void Send(const absl::LogEntry &entry) override {
    int severity = static_cast<int>(entry.log_severity());  // 0 information, 1 warning, 2 error, 3 fatal
    absl::string_view text = entry.text_message();
    // the file name is the constant __FILE__, so it ends with NUL
    fn_(severity > 2 ? 2 : severity, entry.source_basename().data(), entry.source_line(), text.data(), text.size());
  }

 private:
  LogFn fn_;
};
Sink *g_sink;  // never freed: abseil keeps a pointer to it
}  // namespace

// Once, before grpc_init(), while no other thread uses gRPC. fn runs on any thread and must not call gRPC.
extern "C" __attribute__((visibility("default"))) void grpc_shim_set_log(LogFn fn, int min_severity) {
  if (g_sink != nullptr || fn == nullptr) return;
  g_sink = new Sink(fn);
  absl::SetMinLogLevel(static_cast<absl::LogSeverityAtLeast>(min_severity));
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::AddLogSink(g_sink);
  absl::InitializeLog();  // until this call abseil writes every line to stderr
}
