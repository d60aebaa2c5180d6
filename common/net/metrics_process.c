/* SPDX-License-Identifier: Apache-2.0 */
/* process_*: what the kernel knows about us, read at each scrape. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/net/metrics_int.h"

struct process_metrics {
    struct metric *resident, *virtual, *cpu, *fds, *max_fds, *threads, *start;
};

static unsigned count_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n ? n - 1 : 0; /* without the directory itself */
}

/* /proc/self/stat: fields after the name, which may hold anything, so from the last ')'. Field 3 is the first there. */
static bool stat_field(unsigned field, uint64_t *ret_value) {
    char text[2048];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return false;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = 0;
    char *p = strrchr(text, ')');
    for (unsigned i = 2; p && i < field; i++)
        p = strchr(p + 1, ' ');
    if (!p)
        return false;
    *ret_value = strtoull(p, NULL, 10);
    return true;
}

static double boot_time(void) {
    char line[256];
    double at = 0;
    FILE *file = fopen("/proc/stat", "re");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, "btime ", 6)) {
            at = strtod(line + 6, NULL);
            break;
        }
    if (file)
        fclose(file);
    return at;
}

static void process_collect(void *user) {
    struct process_metrics *p = user;
    uint64_t value;
    if (stat_field(23, &value))
        metric_set(p->virtual, (double)value);
    if (stat_field(24, &value))
        metric_set(p->resident, (double)value * (double)sysconf(_SC_PAGESIZE));
    if (stat_field(20, &value))
        metric_set(p->threads, (double)value);
    struct rusage usage;
    if (!getrusage(RUSAGE_SELF, &usage))
        metric_set(p->cpu, (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit))
        metric_set(p->max_fds, (double)limit.rlim_cur);
    metric_set(p->fds, count_fds());
}

void metrics_add_process(struct metrics *reg) {
    struct process_metrics *p = mem_alloc(sizeof(*p));
    p->resident = metrics_gauge(reg, "process_resident_memory_bytes", "Resident memory of the process.");
    p->virtual = metrics_gauge(reg, "process_virtual_memory_bytes", "Virtual memory of the process.");
    p->cpu = metrics_counter(reg, "process_cpu_seconds_total", "CPU time in user and system mode.");
    p->fds = metrics_gauge(reg, "process_open_fds", "Open file descriptors.");
    p->max_fds = metrics_gauge(reg, "process_max_fds", "Largest number of open file descriptors.");
    p->threads = metrics_gauge(reg, "process_threads", "Threads of the process.");
    p->start = metrics_gauge(reg, "process_start_time_seconds", "Start of the process, seconds since 1970 UTC.");
    uint64_t ticks;
    if (stat_field(22, &ticks)) /* since boot; never changes */
        metric_set(p->start, boot_time() + (double)ticks / (double)sysconf(_SC_CLK_TCK));
    reg->process = p;
    metrics_on_collect(reg, process_collect, p);
}
