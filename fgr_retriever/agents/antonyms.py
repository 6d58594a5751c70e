"""Words of opposite meaning, in English: one pair of groups a line.

Left out on purpose: words for the two sides of one event, such as "buy" and "sell", since "Ann sold it to Bob" and "Bob
bought it from Ann" say the same.
"""

ANTONYMS = """
enable allow permit activate | disable forbid prohibit ban deactivate
allowed permitted may | forbidden prohibited banned
accept approve | reject refuse decline deny
include | exclude exempt
increase rise grow raise gain climb | decrease reduce fall drop decline lower shrink cut
more | less fewer
higher | lower
longer | shorter
larger bigger greater | smaller
improve | worsen
best highest largest longest biggest most greatest | worst lowest smallest shortest least
above over top upper | below under bottom lower
before earlier prior previously | after later afterwards since
first | last
early | late
start begin open | end stop finish close
always often usually frequently | never rarely seldom
all every everybody everyone most many | few little
common usual frequent ordinary | rare unusual exceptional uncommon
inside within during indoors internal | outside outdoors external
hot warm | cold cool
wet | dry
rich | poor
strong | weak
slow slowly slower | fast faster quickly quicker rapidly quick speed
cheap cheaper inexpensive | expensive dear dearer
safe harmless | dangerous poisonous toxic harmful unsafe hazardous
heavy heavier | light lighter
old older | new newer young younger
high | low
long | short shortly
large big | small tiny
lot much | little few
full | empty
public | private
male man | female woman
husband | wife
left | right
north northern | south southern
east eastern | west western
exceed surpass reach meet | miss
protect shield | expose
mandatory required compulsory obligatory | optional voluntary
possible | impossible
valid | void invalid
true | false
success succeed pass | failure fail
gentle gently | violent violently
win | lose
add | remove
attach | detach
credit | debit
profit | loss
maximum | minimum
simple easy | difficult complicated hard
clear | unclear
present | absent
wide | narrow
thick | thin
deep | shallow
near close | far
alive living | dead
accelerate | slow
admit | refuse
advantage benefit | disadvantage drawback
agree | disagree
ancient | modern
appear | disappear vanish
approve | disapprove
arrive arrival | depart departure
ascend ascent climb uphill | descend descent downhill
asleep | awake
assemble | dismantle
attack | defend
attract | repel
backward backwards | forward forwards
better | worse
big | little
bitter | sweet
bless | curse
bottom | top
brave | cowardly
bright | dark dim
broad | narrow
calm | stormy rough
careful carefully | careless carelessly
caught catch | released
ceiling | floor
clean | dirty
clockwise | counterclockwise anticlockwise
closed shut | open opened
coarse | fine
combine join merge | separate split divide
comfortable | uncomfortable
complete | incomplete partial
connect | disconnect
constant | variable
construct built build | demolish destroy
continue | stop cease
contract shrink | expand swell stretch
convex | concave
correct right | incorrect wrong
create | destroy
dawn sunrise | dusk sunset
day daytime | night nighttime
decrease decline | increase rise
deep deeper deepest | shallow shallower shallowest
delay postpone | hasten
dense denser | sparse
descendant | ancestor
diurnal | nocturnal
domestic | foreign
double | halve
dull | sharp shiny
earliest | latest
earn | spend
encourage | discourage
enter entry | exit leave
even | odd
export exports | import imports
extend lengthen prolong | shorten terminate
external | internal
extinct | surviving
familiar | strange
famous | unknown
fat | lean
fertile | barren
float | sink
freeze | melt thaw
fresh | stale rotten
friend ally | enemy
front | rear back
gather | scatter
giant | dwarf
grant | deny refuse
guilty | innocent
hard harder | soft softer
hidden | visible
hide | reveal
horizontal horizontally | vertical vertically
huge enormous | tiny
identical same | different
income revenue | expense expenditure
inner | outer
input | output
interior inland | exterior coast
junior | senior
keep retain | discard
known | unknown
lazy | diligent
legal lawful | illegal unlawful
lengthy | brief
liquid | solid
loose | tight
lose lost | gain gained
loud louder | quiet quieter silent
major | minor
majority | minority
mild | severe harsh
mortal | immortal
natural | artificial
negative | positive
nobody none | everybody all
normal | abnormal
obey | disobey
offer | withdraw
oldest | newest youngest
optimistic | pessimistic
patient | impatient
peace | war
permanent permanently | temporary temporarily
plus | minus
polite | rude
popular | unpopular
praise | criticise criticize
private privately | public publicly
promote | demote
push | pull
raised raise | lowered lower
raw | cooked
refund | charge
regular | irregular
retreat | advance
rough | smooth
rural | urban
separately | together
single | married multiple
sour | sweet
stable | unstable volatile
stay remain | leave move
steep | gentle gradual
straight | crooked curved bent
sunny | cloudy
superior | inferior
support | oppose
teach | learn
tie | untie
transparent | opaque
underground | overground
upper | lower
upstairs | downstairs
upstream | downstream
vacant empty | occupied full
victory | defeat
violent | peaceful
voluntary voluntarily | forced compulsory
wake | sleep
weaken | strengthen
wealth wealthy | poverty poor
widen | narrow
winner | loser
written | oral spoken
young youngest | old oldest
"""
"""Any word left of the bar is an opposite of any word right of it."""
