// Names as others write them, factor by factor into ours: letters, then numbers, whatever stands around them.
#include "task/group_guess.h"

#include "base/text.h"
#include "task/group_name.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What a group of a family is called elsewhere, in lower case.
static const struct {
    const char *family;
    const char *words; // each between blanks
} FAMILIES[] = {
    {"C", " c cn z zn zz mod zmod cyc cyclic cyclicgroup "},
    {"D", " d dn dih dihedral dihedralgroup "},
    {"S", " s sn sym symm symmetric symmetricgroup "},
    {"A", " a an alt alternating alternatinggroup "},
    {"Q", " q qn quat quaternion quaternions quaterniongroup "},
    {"Dic", " dic dicn dicyclic dicyclicgroup "},
    {"SD", " sd sdn qd qdn semidihedral quasidihedral semidihedralgroup "},
    {"SL", " sl speciallinear speciallineargroup "},
    {"GL", " gl generallinear generallineargroup "},
    {"PSL", " psl l projectivespeciallineargroup "},
    {"PGL", " pgl projectivegenerallineargroup "},
};

// The letters at *at, in lower case and between blanks.
static void take_word(const char **at, char word[40]) {
    size_t length = 1;
    word[0] = ' ';
    for (; length + 2 < 40 && ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z')); ++*at)
        word[length++] = (char)(**at | 0x20);
    strcpy(word + length, " ");
}

static void pass_over(const char **at, const char *any) {
    *at += strspn(*at, any);
}

// "^3" behind a factor; 1 without. 0: no power that is read.
static int take_power(const char **at) {
    if (**at != '^')
        return 1;
    int power = (*at)[1] >= '1' && (*at)[1] <= '9' ? (*at)[1] - '0' : 0;
    *at += power ? 2 : 0;
    return power;
}

static const char *family_of(const char *word) {
    for (size_t i = 0; i < sizeof FAMILIES / sizeof *FAMILIES; i++)
        if (word[1] != ' ' && strstr(FAMILIES[i].words, word))
            return FAMILIES[i].family;
    return NULL;
}

// What is behind "SL2": the field, as in SL2(3), SL(2,F_3), SL_2(GF(3)).
static bool translate_field(const char **at, const char *family, char *out, size_t bytes) {
    pass_over(at, " ,;_(){}[]FGZ/");
    const char *number = *at;
    pass_over(at, "0123456789");
    snprintf(out, bytes, "%s(2,%.*s)", family, (int)(*at - number), number);
    return *at > number && *at - number <= 6;
}

// Its numbers in our order: the semidihedral group of 16 is C8:C2.
static bool translate_numbers(const char **at, const char *family, const char *number, int digits, char *out,
                              size_t bytes) {
    bool matrices = family[strlen(family) - 1] == 'L';
    if (matrices && digits == 1 && *number == '2')
        return translate_field(at, family, out, bytes);
    if (strcmp(family, "SD") == 0)
        snprintf(out, bytes, "C%d:C2", atoi(number) / 2);
    else
        snprintf(out, bytes, "%s%.*s", family, digits, number);
    return !matrices;
}

// One factor as others write it (Z_7, Dih(4), Sym 5, Z/7Z, C2^3, V4, SL2(3)) into ours, behind `sign`. False: not
// understood.
static bool translate_factor(const char **at, const char *sign, ts_text *out) {
    char word[40], made[80] = "C2xC2";
    pass_over(at, " (");
    take_word(at, word);
    pass_over(at, " _({[/");
    pass_over(at, "0");
    const char *number = *at, *family = family_of(word);
    pass_over(at, "0123456789");
    int digits = (int)(*at - number);
    bool four = digits == 1 && *number == '4';
    bool klein = (strcmp(word, " klein ") == 0 && (four || !digits)) || (strstr(" v k ", word) && four);
    if (!klein &&
        (!family || digits < 1 || digits > 6 || !translate_numbers(at, family, number, digits, made, sizeof made)))
        return false;
    pass_over(at, " )}]Z");
    int power = take_power(at);
    for (int i = 0; i < power; i++)
        ts_text_addf(out, "%s%s", i ? "x" : sign, made);
    return power > 0;
}

// The sign between two factors, as ours; NULL: none that is read.
static const char *take_sign(const char **at) {
    static const struct {
        const char *sign, *ours;
    } SIGNS[] = {{"x", "x"}, {"X", "x"}, {"*", "x"}, {"\u00d7", "x"}, {":", ":"}, {"\u22ca", ":"}};
    pass_over(at, " ");
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS; i++)
        if (strncmp(*at, SIGNS[i].sign, strlen(SIGNS[i].sign)) == 0) {
            *at += strlen(SIGNS[i].sign);
            return SIGNS[i].ours;
        }
    return NULL;
}

void ts_group_guess(const char *name, char *out, size_t bytes) {
    ts_text made = {0};
    ts_group_name group;
    char fault[512], written[400];
    bool understood = translate_factor(&name, "", &made);
    while (understood && *name) {
        const char *sign = take_sign(&name);
        understood = sign && translate_factor(&name, sign, &made);
    }
    out[0] = 0;
    if (understood && ts_group_name_read(ts_text_get(&made), &group, fault, sizeof fault)) {
        ts_group_name_write(&group, written, sizeof written);
        snprintf(out, bytes, "; did you mean '%s' (%.15g elements)?", written, group.order);
    }
    ts_text_free(&made);
}
