"""Charts drawn from the store alone: functions from a View to an Altair chart."""

from labkit.charts.accuracy import accuracy_by_sparsity
from labkit.charts.candidates import best_of_k, loss_against_accuracy
from labkit.charts.curves import steps_to_threshold, training_curves
from labkit.charts.differences import difference_by_sparsity
from labkit.charts.embeddings_fractions import fractions
from labkit.charts.embeddings_leaks import leaks
from labkit.charts.embeddings_noninferior import noninferior, noninferior_rows
from labkit.charts.embeddings_norms import map_norms
from labkit.charts.embeddings_reduction import reduction
from labkit.charts.embeddings_stream import stream
from labkit.charts.embeddings_survivors import survivors
from labkit.charts.embeddings_table import auc_rows, auc_table
from labkit.charts.embeddings_verdicts import embeddings_verdict_rows, embeddings_verdicts
from labkit.charts.embeddings_vocabulary import vocabulary
from labkit.charts.finetune_agreement import finetune_agreement
from labkit.charts.finetune_epsilons import finetune_epsilons
from labkit.charts.finetune_landscape import finetune_landscape
from labkit.charts.finetune_noise import finetune_noise
from labkit.charts.finetune_ordered import finetune_ordered
from labkit.charts.finetune_scopes import finetune_scopes
from labkit.charts.finetune_sparsity import finetune_sparsity
from labkit.charts.finetune_table import finetune_rows, finetune_table
from labkit.charts.finetune_verdicts import finetune_sparsity_verdicts, finetune_verdict_rows, finetune_verdicts
from labkit.charts.frontier_audit import audit
from labkit.charts.frontier_choosing import choosing
from labkit.charts.frontier_classes import per_class
from labkit.charts.frontier_landscapes import private_landscapes
from labkit.charts.frontier_ledger import ledger, totals
from labkit.charts.frontier_lines import by_sparsity_at_epsilon, frontier
from labkit.charts.frontier_map import privacy_map, tuned_and_shared
from labkit.charts.frontier_table import frontier_verdict_rows, frontier_verdicts, verdict_grid
from labkit.charts.frontier_tuning import total_noise, tuning
from labkit.charts.lines import curvature, interpolation, profiles
from labkit.charts.png import Still, png, still
from labkit.charts.queries_exposure import exposure
from labkit.charts.queries_lay import retrieval_lay
from labkit.charts.queries_quality import quality
from labkit.charts.queries_retrieval import retrieval
from labkit.charts.queries_samples import samples
from labkit.charts.queries_table import retrieval_rows, retrieval_table
from labkit.charts.queries_verdicts import retrieval_verdict_rows, retrieval_verdicts
from labkit.charts.surfaces import landscapes, path
from labkit.charts.table import verdict_rows, verdict_table

__all__ = [
    "Still",
    "accuracy_by_sparsity",
    "auc_rows",
    "auc_table",
    "audit",
    "best_of_k",
    "by_sparsity_at_epsilon",
    "choosing",
    "curvature",
    "difference_by_sparsity",
    "embeddings_verdict_rows",
    "embeddings_verdicts",
    "exposure",
    "finetune_agreement",
    "finetune_epsilons",
    "finetune_landscape",
    "finetune_noise",
    "finetune_ordered",
    "finetune_rows",
    "finetune_scopes",
    "finetune_sparsity",
    "finetune_sparsity_verdicts",
    "finetune_table",
    "finetune_verdict_rows",
    "finetune_verdicts",
    "fractions",
    "frontier",
    "frontier_verdict_rows",
    "frontier_verdicts",
    "interpolation",
    "landscapes",
    "leaks",
    "ledger",
    "loss_against_accuracy",
    "map_norms",
    "noninferior",
    "noninferior_rows",
    "path",
    "per_class",
    "png",
    "privacy_map",
    "private_landscapes",
    "profiles",
    "quality",
    "reduction",
    "retrieval",
    "retrieval_lay",
    "retrieval_rows",
    "retrieval_table",
    "retrieval_verdict_rows",
    "retrieval_verdicts",
    "samples",
    "steps_to_threshold",
    "still",
    "stream",
    "survivors",
    "total_noise",
    "totals",
    "training_curves",
    "tuned_and_shared",
    "tuning",
    "verdict_grid",
    "verdict_rows",
    "verdict_table",
    "vocabulary",
]
