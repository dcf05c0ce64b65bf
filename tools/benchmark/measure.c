/* One measure: an operation again and again, in threads of processes that begin together, each thread turning through
 * its own sessions. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

enum { MOST_THREADS = 16, MOST_PROCESSES = 16, SAMPLES = 1 << 18, WARM_UP = 20, ROOM = 4096, NOT_LISTED = 3 };
static const double SLOW = 0.01; /* seconds: an operation that takes longer needs no more warming up */

/* What one process tells its parent. */
struct figures {
    double rate;
    double median;
    double late; /* the 99th percentile */
};

struct worker {
    const struct run *run;
    pthread_barrier_t *gate;
    pthread_t thread;
    float *samples;
    long calls;
    double seconds;
};

static struct work *set_up(const struct run *run, unsigned seed)
{
    const struct operation *operation = run->operation;
    struct work *work = calloc((size_t)run->sessions, sizeof *work);
    CK_BYTE *data = calloc(1, run->size + 1);
    CK_BYTE *output = malloc(run->size + ROOM);
    if (work == NULL || data == NULL || output == NULL)
        exit(1);
    for (int i = 0; i < run->sessions; i++) {
        CK_SESSION_HANDLE session = open_session();
        work[i] = (struct work){.session = session, .data = data, .size = run->size, .output = output,
                                .room = run->size + ROOM, .seed = seed + (unsigned)i};
        if (operation->key != NULL)
            work[i].key = key_named(session, operation->key_class, operation->key);
        if (operation->other != NULL)
            work[i].other = key_named(session, operation->other_class, operation->other);
        if (operation->set_up != NULL)
            operation->set_up(operation, &work[i]);
    }
    return work;
}

static void once(const struct worker *worker, struct work *work, long call)
{
    struct work *turn = &work[call % worker->run->sessions];
    turn->calls++;
    worker->run->operation->once(worker->run->operation, turn);
}

static void *labour(void *argument)
{
    struct worker *worker = argument;
    struct work *work = set_up(worker->run, (unsigned)(uintptr_t)worker ^ (unsigned)getpid() << 16);
    struct timespec start;
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < WARM_UP && since(&start) < WARM_UP * SLOW; i++)
        once(worker, work, i);
    (void)pthread_barrier_wait(worker->gate);
    (void)pthread_barrier_wait(worker->gate); /* between the two, the processes have met */
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (double before = 0, after; before < worker->run->seconds; before = after) {
        once(worker, work, worker->calls);
        after = since(&start);
        if (worker->calls < SAMPLES)
            worker->samples[worker->calls] = (float)(after - before);
        worker->calls++;
    }
    worker->seconds = since(&start);
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    float one = *(const float *)a;
    float two = *(const float *)b;
    return (one > two) - (one < two);
}

/* The threads of one process, which say on ``ready`` that they are, and begin when ``go`` ends. */
static struct figures process(const struct run *run, int ready, int go)
{
    static struct worker workers[MOST_THREADS];
    pthread_barrier_t gate;
    if (pthread_barrier_init(&gate, NULL, (unsigned)run->threads + 1) != 0)
        exit(1);
    for (int i = 0; i < run->threads; i++) {
        workers[i] = (struct worker){.run = run, .gate = &gate, .samples = malloc(SAMPLES * sizeof(float))};
        if (workers[i].samples == NULL || pthread_create(&workers[i].thread, NULL, labour, &workers[i]) != 0)
            exit(1);
    }
    (void)pthread_barrier_wait(&gate);
    char byte = 0;
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 0)
        exit(1);
    (void)pthread_barrier_wait(&gate);
    struct figures figures = {0};
    for (int i = 0; i < run->threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        figures.rate += (double)workers[i].calls / workers[i].seconds;
    }
    long kept = workers[0].calls < SAMPLES ? workers[0].calls : SAMPLES;
    qsort(workers[0].samples, (size_t)kept, sizeof(float), ascending);
    figures.median = 1e6 * (double)workers[0].samples[kept / 2];
    figures.late = 1e6 * (double)workers[0].samples[kept * 99 / 100];
    return figures;
}

static void child(const struct run *run, int answer, int go)
{
    load(run->module);
    choose_slot(run->label);
    CK_MECHANISM_INFO info;
    if (run->operation->mechanism != CK_UNAVAILABLE_INFORMATION &&
        p11->C_GetMechanismInfo(slot, run->operation->mechanism, &info) != CKR_OK)
        exit(NOT_LISTED);
    login(open_session(), CKU_USER, run->pin);
    struct figures figures = process(run, answer, go);
    if (write(answer, &figures, sizeof figures) != sizeof figures)
        exit(1);
    check("C_Finalize", p11->C_Finalize(NULL));
    exit(0);
}

int measure(const struct run *run)
{
    int answers[MOST_PROCESSES];
    pid_t children[MOST_PROCESSES];
    int go[2];
    if (run->threads < 1 || run->threads > MOST_THREADS || run->processes < 1 || run->processes > MOST_PROCESSES ||
        run->sessions < 1 || pipe(go) != 0)
        return 2;
    for (int i = 0; i < run->processes; i++) {
        int answer[2];
        if (pipe(answer) != 0 || (children[i] = fork()) < 0)
            return 1;
        if (children[i] == 0) {
            (void)close(go[1]);
            (void)close(answer[0]);
            child(run, answer[1], go[0]);
        }
        (void)close(answer[1]);
        answers[i] = answer[0];
    }
    char byte;
    for (int i = 0; i < run->processes; i++)
        (void)!read(answers[i], &byte, 1);
    (void)close(go[1]);
    struct figures sum = {0};
    int worst = 0;
    for (int i = 0; i < run->processes; i++) {
        struct figures one = {0};
        int status = 0;
        (void)!read(answers[i], &one, sizeof one);
        (void)waitpid(children[i], &status, 0);
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        worst = code > worst ? code : worst;
        sum.rate += one.rate;
        sum.median = i == 0 ? one.median : sum.median;
        sum.late = i == 0 ? one.late : sum.late;
    }
    if (worst == 0)
        (void)printf("%.1f %.2f %.2f\n", sum.rate, sum.median, sum.late);
    return worst;
}
