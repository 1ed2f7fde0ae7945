#!/bin/sh
# GRPO by EasyR1 on rows of `thinkseg data prepare --schema easyr1`, scored by ThinkSeg. Not run here: it needs GPUs.
# In a clone of EasyR1:  MODEL=… ROWS=rows sh grpo.sh
# Several nodes:         start Ray on each (recipes/verl/several_nodes.sbatch does), then on the first: NODES=2 … sh grpo.sh
# Masks:                 REWARDS=seg-r1 SEGMENTER=http://HOST:8000 asks the SAM 2 of `thinkseg serve`.
# What stands behind the command is handed to EasyR1: sh grpo.sh trainer.total_epochs=3
set -eu
: "${MODEL:=Qwen/Qwen2.5-VL-7B-Instruct}"  # the model that the rows were prepared for
: "${ROWS:=rows}"                          # folder of one train-*.parquet and, for validation, one val-*.parquet
: "${REWARDS:=seg-zero}"                   # published rewards by name, or a file with 'format' and 'rewards'
: "${SEGMENTER:=null}"                     # for rewards that look at masks
: "${NODES:=1}" "${GPUS:=8}"
: "${OUT:=checkpoints/thinkseg}"
: "${CONFIG:=examples/config.yaml}"        # EasyR1's own

PYTHON=${PYTHON:-python3}
REWARD=$($PYTHON -c 'import thinkseg.integrations.easyr1 as found; print(found.__file__)')
TRAIN=$(ls "$ROWS"/train-*.parquet)
VALID=$(ls "$ROWS"/val-*.parquet 2>/dev/null || echo "$TRAIN")

# The rows have the size that the processor makes of them and say all that is asked: no limits of pixels, no template.
exec "$PYTHON" -m verl.trainer.main \
	config="$CONFIG" \
	data.train_files="$TRAIN" \
	data.val_files="$VALID" \
	data.prompt_key=problem \
	data.answer_key=answer \
	data.image_key=images \
	data.format_prompt=null \
	data.min_pixels=null \
	data.max_pixels=null \
	data.max_prompt_length=2048 \
	data.max_response_length=1300 \
	data.rollout_batch_size=128 \
	worker.actor.global_batch_size=64 \
	worker.actor.model.model_path="$MODEL" \
	worker.rollout.n=8 \
	worker.rollout.tensor_parallel_size=1 \
	worker.reward.reward_function="$REWARD:compute_score" \
	worker.reward.reward_function_kwargs="{recipe: $REWARDS, segmenter: $SEGMENTER}" \
	trainer.nnodes="$NODES" \
	trainer.n_gpus_per_node="$GPUS" \
	trainer.project_name=thinkseg \
	trainer.experiment_name=grpo \
	trainer.save_checkpoint_path="$OUT" \
	trainer.logger='[console]' \
	trainer.val_freq=50 \
	trainer.save_freq=50 \
	trainer.total_epochs=1 \
	"$@"
