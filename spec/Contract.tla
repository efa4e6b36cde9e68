------------------------------ MODULE Contract ------------------------------
(***************************************************************************)
(* What any correct sync must guarantee, on one page.                      *)
(*                                                                         *)
(* There are two kinds of things to keep in step:                          *)
(*                                                                         *)
(*  - FACTS (a sale, an inventory event): somebody commits one once, it    *)
(*    never changes, and at each place of its audience it must have its    *)
(*    effect exactly once.  Whoever made it may be told so, but only after *)
(*    it is so.                                                            *)
(*  - A COPY of something that changes (the catalog): a place that says    *)
(*    "I am at version V" has what its owner had at V.                     *)
(*                                                                         *)
(* Nothing is said of messages, journals, epochs, pages or plans: those    *)
(* are how.  Each other module says how, and names the expressions that    *)
(* stand for the seven variables below (its refinement mapping); that its  *)
(* every step is a step of this page, or changes nothing here, is checked. *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets

CONSTANTS
  Facts,     \* all facts that may ever be made
  Places,    \* where facts have effects, and where copies stand
  Reach      \* the pairs <<fact, place>> for which a fact is meant

VARIABLES
  made,      \* facts that were ever committed by whoever may make them
  owed,      \* those that a surviving disk holds and nobody has taken over by hand
  effect,    \* effect[p][f]: how often f counts at p
  lost,      \* lost[p]: facts whose effect at p a restore from a backup took away, for now
  told,      \* told[p]: facts of which their maker believes that p has them
  truth,     \* the pairs <<version, content>> that the owner of the catalog ever committed
  copy       \* copy[p]: the pair that p claims to have; Nowhere if it claims nothing

vars == <<made, owed, effect, lost, told, truth, copy>>

Nowhere == <<0, "nowhere">>

Init ==
  /\ made = {}  /\ owed = {}
  /\ effect = [p \in Places |-> [f \in Facts |-> 0]]
  /\ lost = [p \in Places |-> {}]
  /\ told = [p \in Places |-> {}]
  /\ copy \in [Places -> truth \cup {Nowhere}]   \* the catalog may be older than the sync

\* A fact is made once and for all.  Which of them still have a disk is up to the world.
Make == made \subseteq made' /\ owed' \subseteq made'

\* An effect comes once, only of what was made, and only where it is meant; only a restore of
\* the place itself takes it away, and what was taken away is lost until it counts again.
Take ==
  /\ \A p \in Places : \A f \in Facts :
       LET old == effect[p][f]  new == effect'[p][f] IN
       \/ new = old
       \/ old = 0 /\ new = 1 /\ f \in made /\ <<f, p>> \in Reach
       \/ old = 1 /\ new = 0
  /\ \A p \in Places :
       lost'[p] = {f \in Facts : effect'[p][f] = 0 /\ (f \in lost[p] \/ effect[p][f] = 1)}

\* Belief follows the effect.  It may be given up at any time.
Tell ==
  \A p \in Places : \A f \in told'[p] \ told[p] : effect[p][f] = 1 \/ f \in lost[p]

\* What was true at a version stays on record.  A claim is made only of what was true there.
\* (That a claim goes back only by a restore, Catalog says: NeverBack.)
Copy ==
  /\ truth \subseteq truth'
  /\ \A p \in Places : copy'[p] = Nowhere \/ copy'[p] \in truth

Next == Make /\ Take /\ Tell /\ Copy

Spec == Init /\ [][Next]_vars

-----------------------------------------------------------------------------
(* The laws that can be said here, by their names in the design. *)

NoDuplicate      == \A p \in Places : \A f \in Facts : effect[p][f] \in {0, 1}
NoPhantom        == \A p \in Places : \A f \in Facts : effect[p][f] > 0 => f \in made
BranchIsolation  == \A p \in Places : \A f \in Facts : effect[p][f] > 0 => <<f, p>> \in Reach
AckedIsDurable   == \A p \in Places : \A f \in told[p] : effect[p][f] = 1 \/ f \in lost[p]
CatalogConverges == \A p \in Places : copy[p] = Nowhere \/ copy[p] \in truth

\* Once faults have stopped (each model has a bounded number of them) every fact that is owed
\* counts wherever it is meant, for ever.
ZeroLoss == <>[](\A f \in owed : \A p \in Places : <<f, p>> \in Reach => effect[p][f] = 1)
=============================================================================
