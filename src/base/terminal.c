// Which characters are shown as they are and how many columns they take, by ranges of Unicode.
#define _DEFAULT_SOURCE
#include "base/terminal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

typedef struct range {
    uint32_t first, last;
} range;

static bool is_in(uint32_t code, const range *ranges, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

#define IS_IN(code, ranges) is_in(code, ranges, sizeof(ranges) / sizeof *(ranges))

size_t ts_utf8_character(const char *bytes, uint32_t *code) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000}; // that needs so many bytes
    unsigned char lead = (unsigned char)bytes[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    if (length <= 1) {
        *code = lead;
        return length;
    }
    *code = lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)bytes[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | ((unsigned char)bytes[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code <= 0xdfff;
    return *code < smallest[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

bool ts_terminal_shows(uint32_t code) {
    static const range unseen[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0x61c, 0x61c},   {0x200b, 0x200b}, {0x200e, 0x200f},
        {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    return !IS_IN(code, unseen);
}

enum { UNIT_BYTES = 12 }; // of one character or escape, with the NUL

// The first character of `text` as it is shown; returns how many bytes of `text` that were, 0 at its end.
static size_t show_one(const char *text, char out[UNIT_BYTES]) {
    uint32_t code;
    size_t length = ts_utf8_character(text, &code);
    out[0] = 0;
    if (!*text)
        return 0;
    char letter = code == '\n' ? 'n' : code == '\t' ? 't' : code == '\r' ? 'r' : 0;
    if (length == 0)
        snprintf(out, UNIT_BYTES, "\\x%02x", (unsigned)(unsigned char)*text);
    else if (ts_terminal_shows(code))
        snprintf(out, UNIT_BYTES, "%.*s", (int)length, text);
    else if (letter)
        snprintf(out, UNIT_BYTES, "\\%c", letter);
    else if (code < 0x80)
        snprintf(out, UNIT_BYTES, "\\x%02x", (unsigned)code);
    else
        snprintf(out, UNIT_BYTES, code > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)code);
    return length ? length : 1;
}

size_t ts_terminal_text(const char *text, char *out, size_t bytes) {
    char unit[UNIT_BYTES];
    const char *at = text;
    size_t used = 0;
    for (size_t taken; (taken = show_one(at, unit)) > 0; at += taken) {
        size_t length = strlen(unit);
        if (used + length + 1 > bytes)
            break;
        memcpy(out + used, unit, length);
        used += length;
    }
    out[used] = 0;
    return (size_t)(at - text);
}

// Columns of one character that is shown: none for what combines with the one before, two for East Asian ones and
// pictures.
static int columns_of(uint32_t code) {
    static const range none[] = {
        {0x300, 0x36f}, {0x200c, 0x200d}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
    static const range two[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},  {0xac00, 0xd7a3},
                                {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},  {0xffe0, 0xffe6},
                                {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    return IS_IN(code, none) ? 0 : IS_IN(code, two) ? 2 : 1;
}

int ts_terminal_columns(const char *text) {
    char unit[UNIT_BYTES];
    int columns = 0;
    for (size_t taken; (taken = show_one(text, unit)) > 0; text += taken) {
        uint32_t code;
        if (ts_utf8_character(unit, &code) == strlen(unit))
            columns += columns_of(code);
        else
            columns += (int)strlen(unit); // spelt out
    }
    return columns;
}

size_t ts_terminal_cut(const char *shown, int columns) {
    size_t at = 0;
    uint32_t code;
    for (size_t length; shown[at] && (length = ts_utf8_character(shown + at, &code)) > 0; at += length)
        if ((columns -= columns_of(code)) < 0)
            break;
    return at;
}

void ts_terminal_bar(double share, int width, char *out) {
    int filled = share > 0 ? (int)((share < 1 ? share : 1) * width) : 0;
    out[0] = '[';
    memset(out + 1, '.', (size_t)width);
    memset(out + 1, '#', (size_t)filled);
    memcpy(out + 1 + width, "]", 2);
}

static bool has_logarithm(double value) {
    return value > 0 && isfinite(value);
}

void ts_terminal_curve(const double *value, int64_t count, int width, char *out) {
    static const char *const heights[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                          "\u2585", "\u2586", "\u2587", "\u2588"};
    double low = INFINITY, high = -INFINITY;
    int64_t shown = count < width ? count : width;
    out[0] = 0;
    for (int64_t i = 0; i < count; i++)
        if (has_logarithm(value[i])) {
            low = fmin(low, log(value[i]));
            high = fmax(high, log(value[i]));
        }
    for (int64_t i = 0; i < shown; i++) {
        double one = value[shown > 1 ? i * (count - 1) / (shown - 1) : count - 1];
        double share = has_logarithm(one) && high > low ? (log(one) - low) / (high - low) : 0;
        strcat(out, has_logarithm(one) ? heights[(int)(share * 7 + 0.5)] : " ");
    }
}

// What the terminal says, or else the environment.
static int size_of(int known, const char *name, int otherwise) {
    const char *text = getenv(name);
    int said = text ? atoi(text) : 0;
    return known > 0 ? known : said > 0 ? said : otherwise;
}

int ts_terminal_width(int fd, int otherwise) {
    struct winsize size = {0};
    return size_of(ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0, "COLUMNS", otherwise);
}

int ts_terminal_height(int fd, int otherwise) {
    struct winsize size = {0};
    return size_of(ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0, "LINES", otherwise);
}
