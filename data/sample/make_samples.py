"""Write the sample instructions and news beside this file.

    python make_samples.py            rewrites instructions.json and news.csv
    python make_samples.py --check    exits 1 when either differs from what would be written

Every sentence comes from the small grammars below. Only ``random.Random.random`` is drawn from:
it is the one method whose sequence Python promises to keep from version to version.
"""

import argparse
import csv
import io
import itertools
import json
import random
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = 20240613
PER_SKILL = 50
PER_LABEL = 350
# Two records that share more of their word 3-grams than this are too alike to stand in one file:
# a near-duplicate filter would take one of them out of the test split.
TOO_ALIKE = 0.7


class Draw:
    """Seeded choices made from ``random()`` alone."""

    def __init__(self, seed):
        self._random = random.Random(seed).random

    def chance(self, probability):
        return self._random() < probability

    def pick(self, items):
        return items[int(self._random() * len(items))]

    def shuffled(self, items):
        """Return a new list in random order (Fisher and Yates)."""
        items = list(items)
        for last in range(len(items) - 1, 0, -1):
            other = int(self._random() * (last + 1))
            items[last], items[other] = items[other], items[last]
        return items


class Unlike:
    """Accepts a text unless it is too like one accepted before."""

    def __init__(self):
        self._seen = []

    def accept(self, text):
        words = re.findall(r"\w+", text.lower())
        grams = {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
        for other in self._seen:
            shared = len(grams & other)
            if shared > TOO_ALIKE * (len(grams) + len(other) - shared):
                return False
        self._seen.append(grams)
        return True


def lines(text):
    return [line.strip() for line in text.strip().splitlines()]


def article(noun):
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def capital(text):
    return text[:1].upper() + text[1:]


# ---------------------------------------------------------------------------------------------
# Instructions. Each skill has a small closed vocabulary and several phrasings, so that a record
# held out is a new combination of parts that the other records show.

NAMES = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo"]
CITIES = ["Paris", "Rome", "Oslo", "Cairo", "Lima", "Tokyo", "Delhi", "Berlin"]
NUMBERS = ["two", "three", "four", "five", "six", "seven", "eight", "nine"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
THINGS = ["apples", "books", "chairs", "hats", "lamps", "boxes", "plates", "coats"]
COLOURS = ["red", "blue", "green", "white", "black", "yellow"]
PLACES = ["the garden", "the park", "the kitchen", "the library", "the school", "the office"]

# skill: (phrasings, answer, "word answer" pairs); {a} stands for the word with its article
WORD_SKILLS = {
    "opposite": (
        [
            "What is the opposite of {w}?",
            "Give the opposite of {w}.",
            "Name the opposite of the word {w}.",
            "Which word means the opposite of {w}?",
            "Find a word that is the opposite of {w}.",
        ],
        "The opposite of {w} is {x}.",
        "hot cold, cold hot, big small, small big, fast slow, slow fast, old young, young old, "
        "wet dry, dry wet, full empty, empty full",
    ),
    "plural": (
        [
            "What is the plural of {w}?",
            "Give the plural of {w}.",
            "Write the plural form of {w}.",
            "How do you write more than one {w}?",
            "Change {w} to the plural.",
        ],
        "The plural of {w} is {x}.",
        "cat cats, book books, box boxes, dish dishes, city cities, leaf leaves, wolf wolves, "
        "child children, mouse mice, foot feet, tooth teeth, man men",
    ),
    "past_tense": (
        [
            "What is the past tense of {w}?",
            "Give the past tense of {w}.",
            "Put the verb {w} into the past tense.",
            "How do you say {w} in the past?",
            "Change {w} to the past tense.",
        ],
        "The past tense of {w} is {x}.",
        "walk walked, play played, open opened, go went, see saw, eat ate, run ran, sing sang, "
        "take took, write wrote, buy bought, find found",
    ),
    "category": (
        [
            "What kind of thing is {a}?",
            "Put {a} into a category.",
            "Name the group that {a} belongs to.",
            "Is {a} an animal, a fruit, a tool or a vehicle?",
            "Which category fits {a}?",
        ],
        "{A} is {xa}.",
        "lion animal, horse animal, rabbit animal, apple fruit, banana fruit, orange fruit, "
        "hammer tool, saw tool, drill tool, car vehicle, bus vehicle, train vehicle",
    ),
    "animal_sound": (
        [
            "What sound does {a} make?",
            "Name the sound of {a}.",
            "Tell me what {a} does when it calls.",
            "What is the noise that {a} makes?",
            "Say how {a} sounds.",
        ],
        "{A} {x}.",
        "dog barks, cat meows, cow moos, lion roars, duck quacks, sheep bleats, horse neighs, "
        "frog croaks, owl hoots, bee buzzes, wolf howls, snake hisses",
    ),
}

COLOUR_PHRASINGS = [
    "What colour is {w}?",
    "Name the colour of {w}.",
    "Tell me which colour {w} has.",
    "Which colour fits {w}?",
    "Give the colour that {w} has.",
]
COLOUR_ITEMS = (
    "snow white, milk white, grass green, a frog green, coal black, a crow black, blood red, "
    "a cherry red, the sky blue, the sea blue, a lemon yellow, a canary yellow"
)

DAY_PHRASINGS = [
    ("Which day comes after {w}?", 1),
    ("Name the day after {w}.", 1),
    ("What is the next day after {w}?", 1),
    ("Which day comes before {w}?", -1),
    ("Name the day before {w}.", -1),
    ("What is the last day before {w}?", -1),
    ("Say which day follows {w}.", 1),
    ("Say which day leads to {w}.", -1),
]

LARGER_PHRASINGS = [
    "Which number is larger, {a} or {b}?",
    "Name the larger of the numbers {a} and {b}.",
    "Compare {a} and {b} and say which is larger.",
]

GREETING_PHRASINGS = [
    "Greet {n} {when}.",
    "Write a greeting for {n} {when}.",
    "Say hello to {n} {when}.",
]
GREETINGS = {
    "in the morning": "Good morning, {n}.",
    "in the afternoon": "Good afternoon, {n}.",
    "in the evening": "Good evening, {n}.",
    "on a birthday": "Happy birthday, {n}!",
    "after a long trip": "Welcome home, {n}!",
}


def word_skill(name):
    phrasings, answer, pairs = WORD_SKILLS[name]
    for pair in pairs.split(", "):
        word, result = pair.split()
        slots = {"w": word, "a": article(word), "A": capital(article(word)), "x": result}
        slots["xa"] = article(result)
        for phrasing in phrasings:
            yield phrasing.format(**slots), "", answer.format(**slots)


def colour_skill():
    for item in COLOUR_ITEMS.split(", "):
        thing, colour = item.rsplit(" ", 1)
        for phrasing in COLOUR_PHRASINGS:
            yield phrasing.format(w=thing), "", f"{capital(thing)} is {colour}."


def day_skill():
    for place, day in enumerate(DAYS):
        for phrasing, step in DAY_PHRASINGS:
            answer = DAYS[(place + step) % 7]
            order = "after" if step > 0 else "before"
            yield phrasing.format(w=day), "", f"{answer} comes {order} {day}."


def larger_skill():
    for a, b in itertools.permutations(range(1, 10), 2):
        for phrasing in LARGER_PHRASINGS:
            answer = f"{max(a, b)} is larger than {min(a, b)}."
            yield phrasing.format(a=a, b=b), "", answer


def greeting_skill():
    for name, when in itertools.product(NAMES, GREETINGS):
        for phrasing in GREETING_PHRASINGS:
            yield phrasing.format(n=name, when=when), "", GREETINGS[when].format(n=name)


SCENES = [
    "{n} bought {k} {c} {t} in {city} on {d}.",
    "On {d} {n} sent {k} {c} {t} to {city}.",
    "In {city} {n} saw {k} {c} {t} last {d}.",
    "The shop in {city} sold {k} {c} {t} to {n}.",
    "{n} from {city} carried {k} {c} {t} home.",
]
FIND = {
    "find_city": (
        [
            "Which city is named in the text?",
            "Find the city in this sentence.",
            "Name the city that the text mentions.",
            "Extract the city.",
        ],
        "The city is {city}.",
    ),
    "find_person": (
        [
            "Which person is named in the text?",
            "Find the person in this sentence.",
            "Name the person that the text mentions.",
            "Extract the name of the person.",
        ],
        "The person is {n}.",
    ),
    "find_number": (
        [
            "Which number is named in the text?",
            "Find the number in this sentence.",
            "How many things does the text mention?",
            "Extract the number.",
        ],
        "The number is {k}.",
    ),
}

GOOD = ["wonderful", "excellent", "lovely", "perfect", "great", "delicious"]
BAD = ["terrible", "awful", "horrible", "dirty", "boring", "rude"]
REVIEWED = ["food", "hotel", "film", "room", "music", "service", "meal", "show"]
REVIEW_SHAPES = [
    "The {t} was {a} and the {u} was {b}.",
    "What {aa} {t}, and such {ba} {u} too.",
    "We found the {t} {a}, the {u} even more {b}.",
    "I thought that the {t} was {a}. The {u} was {b}.",
]
SENTIMENT_PHRASINGS = [
    "Is this review positive or negative?",
    "What is the sentiment of the review?",
    "Say whether the writer of the review was pleased.",
    "Classify the sentiment of this review.",
]
SENTIMENT = {
    "positive": "The review is positive.",
    "negative": "The review is negative.",
}

TOPICS = {
    "weather": lines("""
        A cold wind brought rain to {city}
        Snow fell over {city} all night
        The sun was hot in {city} at noon
        A storm with heavy rain reached {city}
        """),
    "food": lines("""
        {n} cooked soup and bread in {city}
        The cake in {city} was sweet and warm
        {n} ate rice with fish in {city}
        A cook from {city} baked bread for {n}
        """),
    "sport": lines("""
        The team from {city} won the match
        {n} scored a goal for {city}
        {n} ran the race through {city}
        The players lost the game in {city}
        """),
    "music": lines("""
        {n} played the piano in {city}
        A choir from {city} sang an old song
        {n} heard a band with a drum in {city}
        The violin of {n} rang through {city}
        """),
}
TOPIC_PHRASINGS = [
    "What is the text about?",
    "Name the topic of the text.",
    "Is this about weather, food, sport or music?",
    "Find the topic of this sentence.",
]

STATES = ["happy", "tired", "late", "hungry", "ready", "busy"]
ORDERS = lines("""
    close the {x}
    open the {x}
    clean the {x}
    look at the {x}
    wait near the {x}
    paint the {x}
    """)
ORDER_THINGS = ["door", "window", "gate", "box", "table", "kitchen"]
ADVERBS = ["", " now", " today", " with {n}"]

NEGATE_PHRASINGS = [
    "Make the sentence negative.",
    "Negate this sentence.",
    "Say that the sentence is not true.",
    "Rewrite the sentence with not.",
]
POLITE_PHRASINGS = [
    "Make the sentence polite.",
    "Rewrite the order as a polite request.",
    "Ask for this politely.",
    "Say this with please.",
]
QUESTION_PHRASINGS = [
    "Turn the sentence into a question.",
    "Make a question from this sentence.",
    "Ask whether the sentence is true.",
    "Rewrite the statement as a question.",
]


def find_skill(name, draw):
    phrasings, answer = FIND[name]
    while True:
        slots = {
            "n": draw.pick(NAMES),
            "k": draw.pick(NUMBERS),
            "c": draw.pick(COLOURS),
            "t": draw.pick(THINGS),
            "city": draw.pick(CITIES),
            "d": draw.pick(DAYS),
        }
        yield draw.pick(phrasings), draw.pick(SCENES).format(**slots), answer.format(**slots)


def sentiment_skill(draw):
    while True:
        verdict = draw.pick(list(SENTIMENT))
        words = draw.shuffled(GOOD if verdict == "positive" else BAD)
        things = draw.shuffled(REVIEWED)
        review = draw.pick(REVIEW_SHAPES).format(
            t=things[0], u=things[1], a=words[0], aa=article(words[0]), b=words[1], ba=words[1]
        )
        yield draw.pick(SENTIMENT_PHRASINGS), review, SENTIMENT[verdict]


def topic_skill(draw):
    while True:
        topic = draw.pick(list(TOPICS))
        sentence = draw.pick(TOPICS[topic]).format(n=draw.pick(NAMES), city=draw.pick(CITIES))
        sentence += f" on {draw.pick(DAYS)}."
        yield draw.pick(TOPIC_PHRASINGS), sentence, f"The text is about {topic}."


def state(draw):
    """Return (name, the rest of a sentence that follows "is")."""
    rest = draw.pick(STATES)
    return draw.pick(NAMES), f"{rest} in {draw.pick(PLACES + CITIES)}"


def negate_skill(draw):
    while True:
        name, rest = state(draw)
        yield draw.pick(NEGATE_PHRASINGS), f"{name} is {rest}.", f"{name} is not {rest}."


def question_skill(draw):
    while True:
        name, rest = state(draw)
        yield draw.pick(QUESTION_PHRASINGS), f"{name} is {rest}.", f"Is {name} {rest}?"


def polite_skill(draw):
    while True:
        order = draw.pick(ORDERS).format(x=draw.pick(ORDER_THINGS))
        order += draw.pick(ADVERBS).format(n=draw.pick(NAMES))
        yield draw.pick(POLITE_PHRASINGS), f"{capital(order)}.", f"Please {order}."


def instruction_skills(draw):
    """Return {skill: an iterator of (instruction, input, output)}."""
    closed = {name: word_skill(name) for name in WORD_SKILLS}
    closed |= {
        "colour": colour_skill(),
        "day_order": day_skill(),
        "larger_number": larger_skill(),
        "greeting": greeting_skill(),
    }
    skills = {name: iter(draw.shuffled(records)) for name, records in closed.items()}
    skills |= {name: find_skill(name, draw) for name in FIND}
    skills |= {
        "sentiment": sentiment_skill(draw),
        "topic": topic_skill(draw),
        "negate": negate_skill(draw),
        "make_question": question_skill(draw),
        "make_polite": polite_skill(draw),
    }
    return skills


def make_instructions():
    """Return the records of instructions.json: PER_SKILL of each skill, shuffled."""
    draw = Draw(SEED)
    records = []
    for skill, candidates in instruction_skills(draw).items():
        unlike, kept = Unlike(), 0
        for instruction, given, output in candidates:
            if kept < PER_SKILL and unlike.accept(f"{instruction} {given} {output}"):
                kept += 1
                record = {"instruction": instruction, "input": given, "output": output}
                records.append(record | {"skill": skill})
            if kept == PER_SKILL:
                break
        if kept < PER_SKILL:
            raise RuntimeError(f"{skill}: only {kept} of {PER_SKILL} records are unlike enough")
    return draw.shuffled(records)


# ---------------------------------------------------------------------------------------------
# News. A story is one event of its label: a title (T), a main clause (M) and a detail (D) that
# share their names and numbers, sometimes with a tail that fits any label. The n-th title of an
# event goes with its n-th main clause. All persons, firms, teams and places are invented.

LABELS = ["World", "Sports", "Business", "Sci/Tech"]
BORDERLINE = 42  # stories of each label that stand on its border with another: 12%
DIGRESSION = 0.2  # share of the other stories whose second clause is an event of another label
ASIDE = 0.12  # share of the rest that mention another label's subject in passing

SLOTS = {
    "first": "Ada Bram Celia Dorin Elsa Farid Gwen Hasan Ilse Jorun Kofi Lena Milan Nadia Otis "
    "Petra Quinn Rosa Stefan Talia Umar Vera Wim Yara",
    "last": "Aldermoor Bellgrove Carrowan Dunmarsh Estwick Fennory Garrowby Hollenwick Istrand "
    "Jarrowhill Kestermann Lowenby Marrenholt Norvane Ostbury Pellamy Quillane Rosenmark "
    "Sallowfield Thornaby Ulverton Vandermole Westerlow Yarrowdale",
    "city": "Lorvik Brenmouth Talgrad Ostermere Quarrydon Selmouth Varnholm Eskbridge Marlapur "
    "Dornhaven Kelbury Norrsund Pellaport Zamberg Istavar Calderby",
    "land": "Varsia Ostralund Belmora Kestria Tamarune Norlandvey Salvadine Quendia Ithmar "
    "Drovania Lassenia Morrowland",
    "club": "Rovers United Wolves Athletic Harriers Falcons Mariners Lions",
    "stem": "Halvern Brightolm Corvane Delmarth Everlode Fairquay Gantrell Hexwold Ironbeck "
    "Junivar Kelvane Lumorrow Meridane Norlight Orrewick Pinemarch Quantrell Redfallow "
    "Stellmar Trivend",
    "kind": "Holdings Motors Foods Systems Group Airways Energy Labs Stores Networks",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January March April June July September October November",
    "n": "two three four five six seven eight nine ten",
    "big": "12 14 18 20 24 30 36 40 45 50 60 75 80 90 120 150 200 300 400 600",
    "goals": "1-0 2-0 2-1 3-0 3-1 3-2 4-2 4-0",
    "rate": "2 3 4 5 6 7 8 9 11 12 14 16 18 21",
    "trade": "Systems Group Networks Labs",
}
# the slots that are put together from others, drawn anew for each name
COMPOUND = {
    "p": "{first*} {last*}",
    "team": "{city*} {club*}",
    "firm": "{stem*} {kind*}",
    "money": "{big*} million",
    "pct": "{rate*} percent",
    "tech": "{stem*} {trade*}",
}

EVENTS = {
    "World": """
    T {land} and {land2} sign truce at border
    T {land} troops pull back from {city} line
    T Envoys of {land} and {land2} agree on truce
    M {land} and {land2} signed a truce near {city} on {day}
    M troops from {land} began to leave the hills above {city} on {day}
    M envoys from {land2} won a pledge of peace from {land}
    D ending {n} weeks of shelling along the frontier
    D though rebels in the north rejected the deal
    D under a plan drawn up by the envoy {p}

    T Voters in {land} turn out president {p}
    T {p} claims victory in {land} election
    T Opposition leads early count in {land} vote
    M voters in {land} turned out the government of president {p} on {day}
    M the opposition leader {p} claimed victory in the election in {land}
    M an early count gave the opposition a narrow lead in {land}
    D as observers in {city} reported long queues at the polls
    D after a bitter campaign over taxes and the army
    D and the ruling party asked for the ballots to be counted again

    T Floods near {city} leave {big} people dead
    T {land} asks for aid after {city} quake
    T Rescue teams race to reach villages near {city}
    M floods swept through villages near {city} and killed at least {big} people
    M an earthquake shook the hills of {land} and left {big} people dead
    M rescue teams raced to reach families cut off near {city}
    D and the government in {land} asked its neighbours for aid
    D as soldiers handed out tents, water and food
    D leaving {n} thousand people without a roof

    T Police clash with protesters in {city}
    T Thousands march in {city} against new law
    T Protest over prices spreads across {land}
    M police fired tear gas at protesters in the centre of {city}
    M thousands of people marched through {city} against the government
    M a protest over the price of bread spread from {city} across {land}
    D and {big} people were arrested before dawn
    D in the largest march that {land} has seen in {n} years
    D as the prime minister {p} refused to step down

    T Gunmen free {n} hostages in {land}
    T Fate of {n} hostages in {land} unknown
    T Kidnappers in {land} set new deadline
    M gunmen released {n} aid workers who were held near {city}
    M the fate of {n} hostages in {land} was unknown on {day}
    M kidnappers in {land} set a new deadline for the {n} hostages
    D after the foreign minister {p} flew in for talks
    D and the families pressed the government to pay no ransom
    D while the army searched the villages along the border

    T {p} opens peace summit in {city}
    T Leaders meet in {city} for security talks
    T {land} walks out of {city} summit
    M president {p} opened a peace summit in {city}
    M leaders of {n} nations met in {city} for talks on security
    M the delegation of {land} walked out of the summit in {city}
    D and warned that the treaty was close to collapse
    D with the arms treaty at the top of the list
    D where {land2} asked for a seat at the table

    T Rebels kill {n} soldiers outside {city}
    T Car bomb near {city} market kills {big}
    T {land} blames rebels for attack in {city}
    M rebels attacked an army post outside {city} and killed {n} soldiers
    M a car bomb killed {big} people near a market in {city}
    M {land} blamed rebels for an attack on a police station in {city}
    D the deadliest attack in {land} since {month}
    D hours before the prime minister {p} was due to visit
    D and the army closed every road to the border

    T Court in {city} jails former minister {p}
    T Former general goes on trial in {land}
    T {land} court clears {p} of treason
    M a court in {city} sentenced the former minister {p} to {n} years in prison
    M a former general of {land} went on trial for war crimes
    M judges in {land} cleared the opposition leader {p} of treason
    D over the killing of villagers in the civil war
    D while supporters gathered outside under the eyes of the police
    D a verdict that the government called an insult

    T Refugees from {land} cross into {land2}
    T Camp near {city} fills as fighting spreads
    T {land2} shuts border to {land} refugees
    M {n} thousand refugees fled from {land} into {land2}
    M a camp near {city} filled with families who fled the fighting
    M {land2} closed its border to refugees from {land} on {day}
    D and aid agencies warned of hunger before winter
    D as militias took one village after another
    D despite an appeal from the envoy {p}

    T Parliament in {land} ousts prime minister {p}
    T {land} coalition falls over army budget
    T {p} resigns as foreign minister of {land}
    M the parliament of {land} voted to remove the prime minister {p}
    M the coalition that rules {land} fell apart on {day}
    M {p} resigned as foreign minister of {land}
    D after a quarrel over money for the army
    D which opens the way to an early election in {month}
    D and the president asked the opposition to form a government
    """,
    "Sports": """
    T {team} beat {team2} to go top
    T Late goal lifts {team} past {team2}
    T {team} share points with {team2}
    M {team} beat {team2} {goals} to go top of the league
    M a late goal from {p} gave {team} a {goals} win over {team2}
    M {team} came from behind to draw with {team2} in {city}
    D on a pitch made heavy by rain
    D in front of {big} thousand fans on {day}
    D after the striker {p2} missed a penalty in the first half

    T {p} signs for {team} from {team2}
    T {team} land midfielder {p} on loan
    T {team} agree fee for {p}
    M {team} signed the striker {p} from {team2} on {day}
    M the midfielder {p} joined {team} on loan until {month}
    M {team} agreed a fee of {money} with {team2} for {p}
    D and the coach hopes to play the new man at once
    D after {n} goals in the cup last season
    D subject to a medical at the training ground

    T {p} out for season with knee injury
    T Injury blow for {team} before final
    T {team} captain {p} doubtful for derby
    M an injury ruled {p} of {team} out for the season
    M the forward {p} hurt a knee in training with {team}
    M {team} will be without the captain {p} for {n} weeks
    D a blow to a side that has lost {n} games
    D and the coach must change the defence again
    D days before the final against {team2}

    T {p} storms into {city} Open final
    T {p} survives scare against {p2} in {city}
    T Top seed {p} crashes out in {city}
    M {p} beat {p2} in straight sets to reach the final of the {city} Open
    M {p} saved {n} match points against {p2} in {city}
    M the top seed {p} lost to {p2} in the second round in {city}
    D in front of a full house on {day}
    D after a match of {n} hours on centre court
    D on the fastest grass in {n} years

    T {p} sets marathon record in {city}
    T {p} takes 200 metres gold in {city}
    T {land} relay team wins heat in {city}
    M {p} of {land} won the {city} marathon in record time
    M {p} took gold in the 200 metres at the games in {city}
    M the relay team of {land} won its heat in {city}
    D by less than {n} seconds on the line
    D in spite of the wind and rain
    D with the fastest last lap of the season

    T {team} sack coach {p} after defeat
    T {p} named new coach of {team}
    T Coach {p} quits {team} on eve of season
    M {team} sacked the coach {p} after {n} defeats in a row
    M {p} was named coach of {team} on {day}
    M the coach {p} quit {team} before the start of the season
    D with the team at the foot of the table
    D and the captain {p2} asked the fans for patience
    D hours after the loss to {team2}

    T {p} wins mountain stage of {land} tour
    T {p} keeps yellow jersey in {land}
    T Crash ends tour for rider {p}
    M {p} won the mountain stage of the tour of {land}
    M the rider {p} kept the leader's jersey on the road to {city}
    M a crash near {city} ended the tour of the sprinter {p}
    D and {p2} now leads by {big} seconds
    D after an attack on the last climb
    D in a race that ends in {city} on {day}

    T {land} bowlers rout {land2} in test
    T {p} hits century for {land}
    T {land} take series against {land2}
    M the bowler {p} took {n} wickets for {land} on the first day
    M {p} hit a century as {land} beat {land2} in the second test
    M {land} won the series against {land2} in {city}
    D before rain stopped play in the afternoon
    D and the captain {p2} praised the young team
    D with {big} runs from the last pair

    T {team} edge {team2} in overtime thriller
    T {p} scores {big} points for {team}
    T {team} reach playoffs with road win
    M the guard {p} hit the winning shot for {team} at the buzzer
    M {p} scored {big} points as {team} beat {team2} in overtime
    M {team} reached the playoffs with a win at {team2}
    D to level the series at {n} games each
    D and grabbed {n} rebounds in the fourth quarter
    D on a night when the home fans went quiet early

    T {p} of {team} gets ban from league
    T League bans {team} captain for {n} games
    T {p} appeals against ban before cup tie
    M the league banned the defender {p} for {n} games
    M a brawl in the match with {team2} cost {team} their captain
    M {team} appealed against the red card shown to {p}
    D before the cup tie in {city}
    D and the referee will give a report on {day}
    D after a foul on the goalkeeper {p2}
    """,
    "Business": """
    T {firm} profit rises {pct} on strong sales
    T {firm} posts loss as costs climb
    T {firm} beats forecast for third quarter
    M profit at {firm} rose {pct} in the third quarter
    M {firm} posted a loss of {money} for the year
    M {firm} reported earnings above what analysts had forecast
    D with sales of {money2} in {land}
    D as costs grew by more than margins
    D and left its dividend for investors unchanged

    T {firm} shares slump after profit warning
    T Stocks in {city} close at record high
    T {firm} leads rally on {city} exchange
    M shares of {firm} fell {pct} on the {city} exchange
    M stocks in {city} closed at a record high on {day}
    M a rally in bank stocks lifted the {city} market
    D after {firm2} gave a forecast for its profit
    D as investors waited for a word on interest rates
    D with {firm2} the busiest stock of the day

    T {firm} agrees to buy rival {firm2}
    T {firm} raises bid for {firm2}
    T {firm2} rejects takeover offer from {firm}
    M {firm} agreed to buy its rival {firm2} for {money} in cash
    M {firm} raised its offer for {firm2} to {money}
    M {firm2} rejected a takeover bid from {firm}
    D a deal that would cut costs by {pct}
    D and shareholders will vote on the merger in {month}
    D after banks agreed to finance the purchase

    T {firm} to cut {big} jobs in {city}
    T {firm} closes plant in {city}
    T Workers at {firm} plant vote to strike
    M {firm} will cut {big} jobs at its plant in {city}
    M {firm} said it would close {n} stores in {land}
    M workers at {firm} in {city} voted to strike over wages
    D as the company tries to save {money} a year
    D as demand for its products weakens
    D and the chief executive {p} takes a pay cut

    T Oil price climbs on supply fears
    T Oil eases as {land} lifts output
    T Fuel costs hit airlines in {land}
    M oil prices climbed above {big} a barrel on {day}
    M the price of oil eased as producers in {land} lifted output
    M airlines in {land} raised fares as fuel costs climbed
    D as traders watched supply from {land2}
    D and shares of {firm} and other carriers slipped
    D and traders expect the market to stay tight until {month}

    T {land} central bank raises interest rates
    T {land} economy grows faster than forecast
    T Inflation in {land} eases in {month}
    M the central bank of {land} raised interest rates on {day}
    M the economy of {land} grew {pct} faster than forecast
    M inflation in {land} eased in {month}
    D as consumers bought fewer cars and houses
    D and the currency rose against its rivals
    D which economists at {firm} had expected

    T {firm} files for bankruptcy in {city}
    T Creditors give {firm} until {month} to pay
    T {firm} seeks cash to stay afloat
    M {firm} filed for bankruptcy with debts of {money}
    M creditors of {firm} gave the company until {month} to pay
    M {firm} asked its banks for {money} to stay in business
    D after a year of falling orders and rising costs
    D and the court named {p} to run the company
    D leaving {big} suppliers without payment

    T {firm} names {p} chief executive
    T {firm} finance chief {p} steps down
    T Investors push for new board at {firm}
    M {firm} named {p} as chief executive on {day}
    M the finance chief {p} left {firm} in {month}
    M investors in {firm} called for a new board
    D after auditors found errors in the accounts
    D and the share price jumped {pct}
    D with orders to revive sales and pay down debt

    T Retail sales in {land} beat hopes
    T {firm} cuts prices before holiday season
    T Shoppers in {land} tighten their belts
    M retail sales in {land} were {pct} above forecast in {month}
    M {firm} cut prices in its stores before the holiday season
    M shoppers in {land} spent less in {month}
    D and rivals such as {firm2} may have to follow
    D while sales of clothes and furniture fell
    D according to a survey of {big} stores

    T {firm} wins {money} order from {land}
    T {firm} to build plant near {city}
    T {firm} signs supply deal with {firm2}
    M {firm} won an order worth {money} from a customer in {land}
    M {firm} will spend {money} on a plant near {city}
    M {firm} signed a contract to supply {firm2} for {n} years
    D its largest export contract in {n} years
    D and analysts raised their price target for the shares
    D which should add {pct} to revenue
    """,
    "Sci/Tech": """
    T Probe sends first pictures of distant moon
    T {land} spacecraft enters orbit after {n} years
    T {land} delays launch of moon rocket
    M a space probe from {land} sent back pictures of an icy moon
    M a spacecraft from {land} entered orbit after a flight of {n} years
    M engineers in {city} delayed the launch of a rocket to the moon
    D in a mission to look for traces of water
    D despite trouble with a sensor on the fuel tank
    D in a project to map the surface with radar

    T Scientists find gene linked to memory
    T Study links sleep to healthy cells
    T Researchers in {city} grow tissue in lab
    M scientists in {city} found a gene that helps mice to remember
    M a study of {big} patients linked sleep to the repair of cells
    M researchers in {land} grew heart tissue from stem cells
    D a finding that may lead to new drugs
    D according to the biologist {p}
    D but the result must be tested in humans

    T Flaw found in {tech} web browser
    T Worm spreads through {tech} mail software
    T {tech} rushes out patch for security hole
    M a flaw in the web browser of {tech} lets hackers read files
    M a computer worm spread through the mail software of {tech}
    M {tech} released a patch for a hole in its operating system
    D and users were told to update at once
    D after the researcher {p} published the code
    D and {n} thousand machines were hit by {day}

    T {tech} unveils faster chip for laptops
    T {tech} shrinks memory chip to new low
    T New {tech} processor saves battery power
    M {tech} unveiled a chip that doubles the speed of laptops
    M engineers at {tech} built a memory chip with smaller circuits
    M a processor from {tech} needs {pct} less power
    D and will ship it to computer makers in {month}
    D using a laser method developed in {city}
    D so that batteries last {n} hours longer

    T Astronomers spot planet around nearby star
    T Telescope in {land} sees oldest galaxy
    T Dust cloud may hide newborn planet
    M astronomers in {land} found a planet around a nearby star
    M a telescope near {city} saw light from the oldest galaxy
    M a cloud of dust around a young star may hide a planet
    D in images taken over {n} nights
    D with a camera built by the team of {p}
    D {big} light years away from the sun

    T {tech} phone plays video and music
    T {tech} game console goes on show
    T {tech} opens music download service
    M {tech} showed a phone that plays music and video
    M a game console from {tech} can link players online
    M {tech} launched a service to download music over the internet
    D with a screen twice as sharp as before
    D and software that answers to the voice
    D in a bid to win users from {tech2}

    T Robot learns to walk like insect
    T {tech} robot sorts parts by touch
    T Small robots find way through maze
    M a robot built in {city} learned to walk on {n} legs
    M engineers at {tech} taught a robot to sort parts by touch
    M a team of small robots found its way through a maze in {city}
    D with software that copies the brain of an insect
    D after {big} trials without human help
    D and could one day search the ruins of buildings

    T Fossil find near {city} rewrites bird history
    T Ancient bones found in {land} cave
    T Dig in {land} uncovers giant reptile
    M the fossil of an early bird was found in {land}
    M bones from a cave in {land} belong to an unknown species
    M fossil hunters near {city} dug up the bones of a giant reptile
    D from a time {big} million years ago
    D which fills a gap in the story of evolution
    D the scientist {p} wrote in a journal on {day}

    T Ice in north melts faster, study warns
    T Climate study finds warmer seas off {land}
    T Satellite tracks shrinking glaciers in {land}
    M ice in the far north melts faster than computer models predicted
    M a climate study found warmer seas off the coast of {land}
    M satellite data show that glaciers in {land} lost {pct} of their ice
    D with risks for fish, birds and coral
    D the researcher {p} of the {city} institute wrote
    D after {n} years of measurements by ships and buoys

    T New search engine reads whole questions
    T {tech} tests wireless network across {city}
    T {tech} opens source code to developers
    M a search engine from {tech} answers questions in plain words
    M {tech} tested a wireless network across {city}
    M {tech} opened the source code of its database to developers
    D with software written by {p} at {city} university
    D and promises internet access at {n} times the speed
    D as filters learn to stop spam and viruses
    """,
}

TAILS = lines("""
    {p3} said on {day2}
    officials said on {day2}
    the {city3} Post reported
    sources in {city3} said
    after {n3} months of talks
    despite growing pressure from critics
    to the surprise of many in {city3}
    the first such step in {n3} years
    as expected since {month3}
    in a week of mixed news for {land3}
    with more details due in {month3}
    and a decision is expected on {day2}
    """)

# What a story of another label may mention in passing
ASIDES = {
    "World": lines("""
        as {land3} prepared for an election
        while troops stood guard in {city3}
        as ministers of {land3} met for peace talks
        on the day of a protest against the government
        """),
    "Sports": lines("""
        as {team3} prepared for the cup final
        on the day when {team3} won the league
        while fans in {city3} watched the match
        in a city busy with the games
        """),
    "Business": lines("""
        as shares in {city3} slipped
        while {firm3} weighed a merger
        on a day of heavy trading in {city3}
        in a year of falling profit and rising costs
        """),
    "Sci/Tech": lines("""
        as scientists in {city3} tested a new satellite
        while a computer virus slowed the internet
        in pictures sent by a new phone from {firm3}
        shown live over the internet
        """),
}

# Stories on a border. Either clause can be the main one: the label is that of the main clause
# ("A, as B" is a story of A), so the words alone do not tell the two apart. Titles: T fits both
# labels, A and B show the side.
LINKS = ["as", "while", "even as", "days after", "hours after", "a week after"]
SIDED_TITLE = 0.06
BORDERS = [
    (
        "Sports",
        "Business",
        """
        T {team} in spotlight after share listing
        T Busy week for {team} and {firm}
        T {team} and investors at odds in {city}
        T Mixed {day} for owners of {team}
        TA {team} win despite row over shares
        TB {team} shares fall on {city} exchange
        A {team} beat {team2} {goals} to stay in the title race
        A the captain {p} led {team} to a win in the cup
        A fans of {team} cheered a late goal by {p}
        A the coach {p} dropped {n} players of {team}
        B the owners of {team} sold shares worth {money} on the {city} exchange
        B {firm} raised its bid for the company that owns {team}
        B the holding behind {team} reported a loss of {money}
        B {firm} bought the naming rights to the {team} stadium for {money}
        """,
    ),
    (
        "World",
        "Sci/Tech",
        """
        T {land} at odds over internet law
        T Satellite row divides {land} and {land2}
        T {land} and {tech} clash in {city}
        T Questions in {land} about {tech} software
        TA {land} government orders curbs on {tech} software
        TB {tech} engineers build filter for {land} network
        A the government of {land} passed a law against encrypted mail
        A ministers of {land} and {land2} argued over who may watch the border
        A the parliament in {city} voted to ban voting machines
        A president {p} of {land} ordered the police to shut {n} websites
        B engineers at {tech} released software that hides messages on the internet
        B researchers in {city} found a flaw in the voting machines of {tech}
        B scientists in {land} put a satellite with a sharper camera into orbit
        B {tech} launched a network that links phones by satellite
        """,
    ),
    (
        "World",
        "Business",
        """
        T {land} and {land2} in steel dispute
        T Dispute over tariffs deepens in {land}
        T Pipeline through {land} divides {city}
        T {firm} caught between {land} and {land2}
        TA {land} minister quits over trade treaty
        TB {firm} shares drop on tariff fears
        A {land} recalled its ambassador from {land2} over new tariffs
        A leaders of {land} and {land2} failed to sign a treaty in {city}
        A the parliament of {land} voted for sanctions against {land2}
        A thousands in {city} protested against the pipeline
        B {firm} halted exports of steel worth {money} to {land2}
        B shares of {firm} lost {pct} on the {city} exchange
        B the price of oil rose {pct} in {city}
        B {firm} won a contract worth {money} for the pipeline
        """,
    ),
    (
        "Sports",
        "Sci/Tech",
        """
        T New blood test shakes games in {city}
        T {city} lab in spotlight at games
        T Swimmers and scientists at odds in {city}
        T Doubts grow about test of {p}
        TA {p} loses medal after blood test
        TB Scientists in {city} refine doping test
        A the sprinter {p} lost the gold medal won in {city}
        A the swimmer {p} of {land} broke the record at the games
        A the league banned {p} of {team} for {n} games
        A {p} withdrew from the race in {land}
        B a laboratory in {city} developed a blood test for a new drug
        B scientists in {land} found how a gene builds muscle
        B researchers at {tech} showed software that tracks every move of an athlete
        B engineers in {city} tested a suit that cuts drag in water
        """,
    ),
    (
        "Business",
        "Sci/Tech",
        """
        T {tech} bets on chip from {city} lab
        T Big week for {tech} and {tech2}
        T {tech} pins its hopes on drug
        T {tech} under pressure over new phone
        TA {tech} shares jump on chip hopes
        TB {tech} chip uses light, not wires
        A shares of {tech} rose {pct} on the {city} exchange
        A {tech} bought {tech2} for {money}
        A {tech} cut its profit forecast by {pct}
        A investors put {money} into {tech}
        B engineers at {tech} built a chip that works with light
        B researchers at {tech2} found a gene that stops a virus
        B {tech} showed software that translates speech on a phone
        B scientists in {city} tested a battery that charges in {n} minutes
        """,
    ),
    (
        "World",
        "Sports",
        """
        T Politics follows {land} to games in {city}
        T {land} and {land2} meet in tense {city}
        T Tension over {city} match in {land}
        T All eyes on {land} in {city}
        TA {land} government threatens to boycott games
        TB {land} beat {land2} in tense match
        A the government of {land} threatened to boycott the games
        A police arrested {big} protesters outside the stadium in {city}
        A {land} and {land2} agreed to open their border for {n} days
        A a bomb scare closed the centre of {city}
        B {land} beat {land2} {goals} in a match in {city}
        B the runner {p} of {land} won gold in the marathon
        B {team} reached the final with a win over {team2}
        B the captain {p} led the team of {land} to the semifinal
        """,
    ),
]


class Story:
    """Fills slots, giving a slot of one name the same value throughout one story.

    A digit at the end of a name ("{city2}") asks for a further value of the same kind, unlike
    those in use; a star ("{city*}") asks for a fresh value that is not kept under a name.
    """

    def __init__(self, draw):
        self._draw = draw
        self._values = {}
        self._used = set()

    def fill(self, template):
        return re.sub(r"\{(\w+\*?)\}", lambda slot: self._value(slot[1]), template)

    def _value(self, name):
        if name not in self._values:
            value = self._fresh(name.rstrip("0123456789*"))
            if name.endswith("*"):
                return value
            self._values[name] = value
        return self._values[name]

    def _fresh(self, kind):
        if kind in COMPOUND:
            return self.fill(COMPOUND[kind])
        options = [word for word in SLOTS[kind].split() if word not in self._used]
        value = self._draw.pick(options)
        if kind in ("first", "last", "city", "land", "stem", "day", "month"):
            self._used.add(value)
        return value


def by_tag(block):
    """Read lines of "TAG text" into {tag: [text, ...]}."""
    parts = {}
    for line in lines(block):
        tag, text = line.split(" ", 1)
        parts.setdefault(tag, []).append(text)
    return parts


EVENT_PARTS = {
    label: [by_tag(event) for event in text.split("\n\n")] for label, text in EVENTS.items()
}
BORDER_PARTS = [(one, other, by_tag(block)) for one, other, block in BORDERS]


def plain_story(label, draw):
    """Return (title, description) templates of an ordinary story."""
    event = draw.pick(EVENT_PARTS[label])
    title, clause = draw.pick(list(zip(event["T"], event["M"], strict=True)))
    other = draw.pick([name for name in LABELS if name != label])
    if draw.chance(DIGRESSION):
        digression = draw.pick(draw.pick(EVENT_PARTS[other])["M"])
        return title, f"{clause}, {draw.pick(LINKS)} {digression}"
    description = f"{clause}, {draw.pick(event['D'])}"
    if draw.chance(ASIDE):
        description += f", {draw.pick(ASIDES[other])}"
    elif draw.chance(0.6):
        description += f", {draw.pick(TAILS)}"
    return title, description


def border_story(label, draw):
    """Return (title, description) templates of a story that shares its words with another label."""
    border_label, _, parts = draw.pick([border for border in BORDER_PARTS if label in border[:2]])
    main, aside = ("A", "B") if label == border_label else ("B", "A")
    title = draw.pick(parts[f"T{main}"] if draw.chance(SIDED_TITLE) else parts["T"])
    return title, f"{draw.pick(parts[main])}, {draw.pick(LINKS)} {draw.pick(parts[aside])}"


def make_news():
    """Return the rows (label, title, description) of news.csv, shuffled."""
    draw, unlike, rows = Draw(SEED + 1), Unlike(), []
    for label in LABELS:
        kept = 0
        while kept < PER_LABEL:
            make = border_story if kept < BORDERLINE else plain_story
            title, description = map(Story(draw).fill, make(label, draw))
            fits = 5 <= len(title.split()) <= 9 and 12 <= len(description.split()) <= 25
            if fits and unlike.accept(f"{title} {description}"):
                kept += 1
                rows.append((label, title, f"{capital(description)}."))
    return draw.shuffled(rows)


# ---------------------------------------------------------------------------------------------


def rendered():
    """Return {file name: its text}."""
    records = ",\n".join(json.dumps(record) for record in make_instructions())
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["label", "title", "description"])
    writer.writerows(make_news())
    return {"instructions.json": f"[\n{records}\n]\n", "news.csv": table.getvalue()}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args(arguments).check
    differing = []
    for name, text in rendered().items():
        path, data = HERE / name, text.encode("utf-8")
        if not check:
            path.write_bytes(data)
        elif not path.is_file() or path.read_bytes() != data:
            differing.append(name)
    if differing:
        print(f"differ from what make_samples.py writes: {', '.join(differing)}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
