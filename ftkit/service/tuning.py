"""The routes under /v1/fine_tuning/jobs."""

from typing import Annotated

from fastapi import APIRouter, Query

from ftkit.service import jobs
from ftkit.service.errors import ApiError, unknown_file, unknown_job, unknown_model
from ftkit.service.paging import page
from ftkit.service.requests import JobRequest
from ftkit.service.store import Store


def routes(store: Store, bases: list[str]) -> APIRouter:
    router = APIRouter(prefix="/fine_tuning/jobs")

    def found(id: str) -> dict:
        job = store.one("jobs", id)
        if job is None:
            raise unknown_job(id)
        return job

    @router.post("")
    def create(request: JobRequest) -> dict:
        if request.model not in bases:
            if store.one("models", request.model) is None:
                raise unknown_model(request.model)
            message = f"{request.model} is fine-tuned already; this service fine-tunes base models: {', '.join(bases)}"
            raise ApiError(400, message, param="model", code="model_not_available")
        if request.method and request.hyperparameters:
            message = "Give 'method' or the deprecated 'hyperparameters', not both."
            raise ApiError(400, message, param="hyperparameters", code="invalid_value")
        for param in ("training_file", "validation_file"):
            id = getattr(request, param)
            file = store.one("files", id) if id else None
            if id and file is None:
                error = unknown_file(id)
                raise ApiError(400, error.message, param=param, code="file_not_found")
            if file and file["purpose"] != "fine-tune":
                message = f"{id} was uploaded with purpose '{file['purpose']}'; it must be 'fine-tune'."
                raise ApiError(400, message, param=param, code="invalid_file_purpose")
        return shown(jobs.create(store, request))

    @router.get("")
    def list_jobs(limit: Annotated[int, Query(ge=1, le=100)] = 20, after: str | None = None) -> dict:
        return page(store, "jobs", shown, after=after, limit=limit)

    @router.get("/{id}")
    def retrieve(id: str) -> dict:
        return shown(found(id))

    @router.post("/{id}/cancel")
    def cancel(id: str) -> dict:
        job = found(id)
        if not jobs.cancel(store, id):
            message = f"Job has already completed: {id} is {job['status']} and cannot be cancelled."
            raise ApiError(400, message, param="fine_tune_id", code="job_already_completed")
        return shown(found(id))

    @router.get("/{id}/events")
    def events(id: str, limit: Annotated[int, Query(ge=1, le=1000)] = 20, after: str | None = None) -> dict:
        found(id)
        return page(store, "events", event, after=after, limit=limit, job=id)

    @router.get("/{id}/checkpoints")
    def checkpoints(id: str, limit: Annotated[int, Query(ge=1, le=100)] = 10, after: str | None = None) -> dict:
        found(id)
        return page(store, "checkpoints", checkpoint, after=after, limit=limit, job=id)

    return router


def shown(job: dict) -> dict:
    """The row as OpenAI's ``fine_tuning.job`` object."""
    return {
        "object": "fine_tuning.job",
        "id": job["id"],
        "model": job["model"],
        "created_at": job["created_at"],
        "finished_at": job["finished_at"],
        "fine_tuned_model": job["fine_tuned_model"],
        "organization_id": "org-local",
        "result_files": job["result_files"],
        "status": job["status"],
        "validation_file": job["validation_file"],
        "training_file": job["training_file"],
        "hyperparameters": job["hyperparameters"],
        "method": {"type": "supervised", "supervised": {"hyperparameters": job["hyperparameters"]}},
        "trained_tokens": job["trained_tokens"],
        "error": job["error"],
        "user_provided_suffix": job["suffix"],
        "seed": job["seed"],
        "estimated_finish": None,
        "integrations": [],
        "metadata": job["metadata"],
    }


def event(row: dict) -> dict:
    """The row as OpenAI's ``fine_tuning.job.event`` object."""
    return {
        "object": "fine_tuning.job.event",
        "id": row["id"],
        "created_at": row["created_at"],
        "level": row["level"],
        "message": row["message"],
        "data": row["data"],
        "type": row["type"],
    }


def checkpoint(row: dict) -> dict:
    """The row as OpenAI's ``fine_tuning.job.checkpoint`` object."""
    return {
        "object": "fine_tuning.job.checkpoint",
        "id": row["id"],
        "created_at": row["created_at"],
        "fine_tuned_model_checkpoint": row["model"],
        "fine_tuning_job_id": row["job"],
        "metrics": row["metrics"],
        "step_number": row["step"],
    }
